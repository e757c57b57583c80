"""Which offset may be committed: below it, every record is complete.

Offsets have gaps (transaction markers, aborted records, compaction), so "next" is never offset + 1.
"""

import threading
from collections import deque


class Watermark:
    """The contiguous low watermark of one partition in one assignment. Pure; not thread-safe."""

    def __init__(self) -> None:
        self._order: deque[int] = deque()
        self._open: set[int] = set()
        self._end: int | None = None

    @property
    def in_flight(self) -> int:
        """How many records were delivered and are not complete."""
        return len(self._open)

    def deliver(self, offset: int) -> None:
        """A record was read.

        Raises:
            ValueError: its offset isn't above all before it: these records are of another assignment.
        """
        if self._end is not None and offset < self._end:
            raise ValueError(f"offset {offset} came after {self._end - 1}")
        self._order.append(offset)
        self._open.add(offset)
        self._end = offset + 1

    def complete(self, offset: int) -> None:
        """A delivered record is done with; a second time changes nothing."""
        self._open.discard(offset)
        while self._order and self._order[0] not in self._open:
            self._order.popleft()

    def committable(self, position: int | None = None) -> int | None:
        """The offset to commit, or None where nothing was read.

        Args:
            position: where the consumer reads next. Counts only while nothing is in flight: then it stands behind
                trailing markers, which no record ever will.
        """
        if self._order:
            return self._order[0]
        if self._end is None or position is None:
            return position if self._end is None else self._end
        return max(self._end, position)


class PartitionAssignment:
    """One partition for as long as this process holds it without a break. Thread-safe.

    The event loop completes records, the poll thread delivers and commits, the client's IO thread ends the assignment.
    """

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.committed: int | None = None
        """What the broker acknowledged in this assignment. Belongs to the poll thread."""
        self._lock = threading.Lock()
        self._watermark = Watermark()
        self._sizes: dict[int, int] = {}
        self._bytes = 0
        self._live = True
        self._read_again = False

    @property
    def live(self) -> bool:
        """Whether completions still count."""
        return self._live

    @property
    def read_again(self) -> bool:
        """Whether whoever holds the partition now reads its records again, so that nothing need be done for them."""
        return self._read_again

    @property
    def in_flight(self) -> int:
        """Records delivered and not complete."""
        return self._watermark.in_flight

    @property
    def in_flight_bytes(self) -> int:
        """Their size."""
        return self._bytes

    def deliver(self, offset: int, size_bytes: int) -> None:
        """A record was read in this assignment (`Watermark.deliver`)."""
        with self._lock:
            self._watermark.deliver(offset)
            self._sizes[offset] = size_bytes
            self._bytes += size_bytes

    def complete(self, offset: int) -> None:
        """A record is done with. After the end of the assignment it changes nothing: the record is read again."""
        with self._lock:
            if self._live:
                self._watermark.complete(offset)
                self._bytes -= self._sizes.pop(offset, 0)

    def committable(self, position: int | None = None) -> int | None:
        """The offset to commit now; None where there is none, or the assignment has ended."""
        with self._lock:
            return self._watermark.committable(position) if self._live else None

    def end(self, *, read_again: bool = True) -> None:
        """Fence the assignment: nothing that completes later moves its watermark, and nothing more is committed."""
        with self._lock:
            self._live = False
            self._read_again = read_again
            self._sizes.clear()
            self._bytes = 0
