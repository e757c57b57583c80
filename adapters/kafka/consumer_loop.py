"""The thread that owns a Kafka consumer: polls without a break, hands records over, commits the watermark.

kafka-python throws a rebalance away that finishes between two polls, and can then stay out of the group for ever
without an exception (measured). So one thread does nothing but poll, and a consumer that gets nowhere is closed and
built anew, from the bootstrap servers on (`progress`).
"""

import ctypes
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

from kafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from adapters.kafka import limits
from adapters.kafka.assignments import AssignmentListener, Assignments, Record
from adapters.kafka.backpressure import apply_backpressure
from adapters.kafka.broker_watch import TopicSnapshot
from adapters.kafka.clients import group_member, reader
from adapters.kafka.commits import Commits, begin_again_in_another_topic, begin_at_the_earliest, read_on
from adapters.kafka.progress import Progress, Stalled, TopicRecreated
from adapters.kafka.protocols import STABLE, Consumer, LogTruncationError, Message, Partition
from adapters.kafka.unreadable import PollStuck, Undecodable, poll, unreadable
from runtime.alerts import Alerts
from runtime.backoff import Backoff
from runtime.metrics import Metrics
from runtime.redaction import in_one_line
from runtime.settings.groups import ConsumerGroup, KafkaConnection
from runtime.telemetry import get_logger

_log = get_logger(__name__)


class TopicMissing(Exception):
    """The topic isn't there."""


class ConsumerLoop:
    """Reads the topic as a member of the group, from `start` to `stop`.

    Args:
        settings: Kafka's.
        deliver: called on the poll thread with each poll's records; must not block.
        metrics: lag, records in flight, pauses, alerts.
        make_member, make_reader: connect; tests pass their own.
    """

    def __init__(
        self,
        settings: ConsumerGroup,
        deliver: Callable[[Sequence[Record]], None],
        metrics: Metrics,
        *,
        make_member: Callable[[ConsumerGroup], Consumer] = group_member,
        make_reader: Callable[[KafkaConnection], Consumer] = reader,
    ) -> None:
        self._settings = settings
        self._topic = settings.kafka_topic
        self._deliver = deliver
        self._metrics = metrics
        self._alert = Alerts(metrics.counter("topup_alerts_total"))
        self._make_member = make_member
        self._make_reader = make_reader
        self.assignments = Assignments()
        self._progress = Progress(self._topic)
        self._paused_by: set[str] = set()
        self._unreadable: dict[Partition, str] = {}
        self._new_lock = threading.Lock()
        self._new: set[Partition] = set()
        """Assigned, and not yet known to stand at an offset of this very topic: paused until that is seen."""
        self._trouble: str | None = f"Kafka at {settings.kafka_bootstrap_servers} was not reached yet."
        self._state = ""
        self._polled_at = time.monotonic()
        self._in_poll_since: float | None = None
        self._next_look_at = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kafka-poll", daemon=True)

    # --- for the event loop ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to read; connecting is waited for in the background, with back-off."""
        self._thread.start()

    def stop(self, timeout_seconds: float) -> bool:
        """Commit what is complete and leave the group. Blocks; False if it did not end within the time."""
        self._stopping.set()
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def pause(self, reason: str) -> None:
        """Take no records until the reason is resumed; polling goes on, so that the group stays as it is."""
        self._paused_by = self._paused_by | {reason}
        self._metrics.gauge("topup_bridge_paused").labels(reason).set(1)

    def resume(self, reason: str) -> None:
        """The opposite of `pause`."""
        self._paused_by = self._paused_by - {reason}
        self._metrics.gauge("topup_bridge_paused").labels(reason).set(0)

    def observe(self, snapshot: TopicSnapshot) -> None:
        """What Kafka says of the topic, asked by another client. From any thread."""
        self._progress.observe(snapshot)

    def summary(self) -> str:
        """What an operator wants to know of a loop that is well."""
        partitions = sorted(partition.partition for partition in self.assignments.held())
        return f"Partitions {partitions} of {self._topic}, {self.assignments.in_flight} records in hand."

    def trouble(self) -> str | None:
        """What keeps records from being read, as a sentence; None if nothing does."""
        if self._trouble is not None:
            return self._trouble
        held = self.assignments.held()
        for partition in self._unreadable:
            if partition in held:
                return self._unreadable_sentence(partition)
        age = time.monotonic() - self._polled_at
        if age > limits.STALE_POLL_SECONDS:
            return f"Kafka was last polled {age:.0f} s ago; if this stays, restart the bridge."
        if self._state != STABLE:
            return f"The consumer group {self._settings.kafka_group} is rebalancing; wait."
        return self._progress.trouble()

    def watch_once(self) -> None:
        """Free a poll that doesn't come back: the client spins behind a record that it can't decode (measured).

        Raises:
            RuntimeError: the poll thread ended by itself, which only a new process cures.
        """
        if not self._thread.is_alive() and not self._stopping.is_set():
            raise RuntimeError("the poll thread ended")
        since = self._in_poll_since
        thread_id = self._thread.ident
        if since is None or thread_id is None or time.monotonic() - since < limits.STUCK_POLL_SECONDS:
            return
        self._in_poll_since = None
        _log.error("poll stuck", sentence="A poll of Kafka did not come back; the consumer is built anew.")
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), ctypes.py_object(PollStuck))

    # --- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            with suppress(PollStuck):  # raised a moment too late, after its poll had come back
                self._memberships()

    def _memberships(self) -> None:
        backoff = Backoff(limits.REBUILD_FIRST_PAUSE_SECONDS, limits.REBUILD_LONGEST_PAUSE_SECONDS)
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._membership()
            except Exception as error:  # noqa: BLE001 - whatever it is, the remedy is a new consumer
                self._say(error)
            if time.monotonic() - began > limits.UNSTABLE_SECONDS:
                backoff.reset()
            self._stopping.wait(backoff.next_seconds())

    def _membership(self) -> None:
        """One consumer's life: join, poll until told to stop or something breaks, commit, leave."""
        consumer = self._make_member(self._settings)
        commits = self.commits_of(consumer)
        positions: dict[Partition, int] = {}
        try:
            self.join(consumer, commits)
            while not self._stopping.is_set():
                self.poll_once(consumer, commits)
        except Undecodable:
            positions = {p: at for p in self.assignments.held() if (at := commits.position(p)) is not None}
            raise
        finally:
            self._progress.note_rebuilt()
            self._leave(consumer, commits)
            self._find_unreadable(positions)

    def commits_of(self, consumer: Consumer) -> Commits:
        """What commits this consumer's offsets."""
        return Commits(consumer, self.assignments, unplaced=lambda: self._new)

    def join(self, consumer: Consumer, commits: Commits) -> None:
        """Subscribe; the polls that follow join the group."""
        listener = AssignmentListener(
            self.assignments,
            commit=commits.before_a_rebalance,
            assigned=lambda partitions, new: self._pause_assigned(
                consumer, partitions, new if commits.topic_id else ()
            ),
        )
        consumer.subscribe([self._topic], listener=listener)
        if self._topic not in consumer.topics():
            raise TopicMissing
        commits.topic_id = consumer.topic_id(self._topic)
        self._progress.begin(commits.topic_id)
        with self._new_lock:
            self._new = set()
        self._polled_at = time.monotonic()
        self._trouble = None

    def poll_once(self, consumer: Consumer, commits: Commits) -> None:
        """One poll and what belongs to it. Raises what only a new consumer cures."""
        self._place_new(consumer, commits)
        pause_all = bool(self._paused_by)
        pressed = apply_backpressure(
            consumer, self.assignments, pause_all=pause_all, never=self._unreadable.keys() | self._new
        )
        under_pressure = pressed and self._state == STABLE
        fetched = self._poll(consumer, limits.POLL_UNDER_BACKPRESSURE_MS if under_pressure else limits.POLL_MS)
        self._polled_at = time.monotonic()
        self._take(fetched)
        commits.when_due()
        self._watch_group(consumer)
        if self._polled_at >= self._next_look_at:
            self._next_look_at = self._polled_at + limits.PROGRESS_EVERY_SECONDS
            self._progress.watch_partitions(consumer, commits.position)
            self._measure(consumer)

    def _place_new(self, consumer: Consumer, commits: Commits) -> None:
        """Let newly assigned partitions go on where they stand, or at the beginning of a topic made anew."""
        new = self._new & consumer.assignment()
        if new:
            begin_again_in_another_topic(consumer, new, commits.topic_id, self._alert)
            with self._new_lock:
                self._new = self._new - new

    def _poll(self, consumer: Consumer, timeout_ms: int) -> Mapping[Partition, Sequence[Message]]:
        self._in_poll_since = time.monotonic()
        try:
            return poll(consumer, timeout_ms)
        except (KafkaConnectionError, KafkaTimeoutError) as error:
            _log.warning("poll failed", reason=in_one_line(error))
        except NoOffsetForPartitionError as error:
            begin_at_the_earliest(consumer, error)
        except OffsetOutOfRangeError as error:
            read_on(consumer, self.assignments, error.args[0], self._alert)
        except LogTruncationError as error:
            cut: Collection[Partition] = getattr(error, "divergent_offsets", ())
            read_on(consumer, self.assignments, dict.fromkeys(cut), self._alert)
        finally:
            self._in_poll_since = None
        return {}

    def _take(self, fetched: Mapping[Partition, Sequence[Message]]) -> None:
        records: list[Record] = []
        for partition, messages in fetched.items():
            assignment = self.assignments.get(partition)
            if assignment is None:
                raise Stalled(f"records of partition {partition.partition} came without an assignment")
            for message in messages:
                assignment.deliver(message.offset, len(message.key or b"") + len(message.value or b""))
                records.append(
                    Record(assignment, message.offset, message.timestamp, message.key, message.value, message.headers)
                )
        if records:
            self._deliver(records)

    def _pause_assigned(
        self, consumer: Consumer, partitions: Collection[Partition], new: Collection[Partition]
    ) -> None:
        """On the client's IO thread. Partitions come back unpaused (measured): these must not be fetched yet."""
        with self._new_lock:
            self._new = (self._new & set(partitions)) | set(new)
        consumer.pause(*((self._unreadable.keys() | self._new) & set(partitions)))

    def _watch_group(self, consumer: Consumer) -> None:
        self._state = consumer.group_metadata().state
        self._progress.watch_group(consumer, self._state)
        if self._state == STABLE and not consumer.assignment() and not consumer.partitions_for_topic(self._topic):
            raise TopicMissing

    def _leave(self, consumer: Consumer, commits: Commits) -> None:
        """Commit and close, both bounded: a frozen broker holds `close` up for 30 s by default (measured)."""
        with suppress(Exception):  # a broker that is away, a membership that is lost: the records come again
            commits.now(limits.CLOSE_MS)
        with suppress(Exception):
            consumer.close(autocommit=False, timeout_ms=limits.CLOSE_MS)
        self.assignments.assign(())
        self._state = ""

    def _find_unreadable(self, positions: Mapping[Partition, int]) -> None:
        if not positions:
            return
        with suppress(KafkaError):
            for partition, reason in unreadable(positions, lambda: self._make_reader(self._settings)).items():
                self._unreadable[partition] = f"{reason} at offset {positions[partition]} or in its batch"
                self._alert("partition_unreadable", sentence=self._unreadable_sentence(partition))

    def _unreadable_sentence(self, partition: Partition) -> str:
        return (
            f"Partition {partition.partition} of {self._topic} stands still and nothing behind is skipped: a record "
            f"can't be decoded ({self._unreadable[partition]}). Read that batch with another client, save its orders, "
            "move the group past it with kafka-consumer-groups, and restart the bridge."
        )

    def _say(self, error: Exception) -> None:
        servers = self._settings.kafka_bootstrap_servers
        reason = in_one_line(error)
        if isinstance(error, TopicMissing):
            self._trouble = f"Kafka at {servers} has no topic {self._topic}: run `topup setup`."
        elif isinstance(error, TopicRecreated):
            self._trouble = f"The topic {self._topic} was made anew under its name; it is read from its beginning."
        elif isinstance(error, Undecodable):
            self._trouble = f"A record of {self._topic} can't be decoded ({reason}); its partition is looked for."
        elif isinstance(error, KafkaError):
            self._trouble = f"Kafka at {servers} is away ({reason}); start it, or correct its address."
        else:
            self._trouble = f"Reading from Kafka at {servers} broke off ({reason}); it is begun anew."
        if not isinstance(error, KafkaError | TopicMissing):  # those are said once a minute while they last
            _log.warning("consumer anew", reason=reason, sentence=self._trouble)

    def _measure(self, consumer: Consumer) -> None:
        self._metrics.gauge("topup_bridge_in_flight").set(self.assignments.in_flight)
        gauge = self._metrics.gauge("topup_bridge_lag_records")
        gauge.clear()
        for partition, assignment in self.assignments.held().items():
            with suppress(KafkaError, AssertionError):
                end = self._progress.end(consumer, partition)
                if end is not None and assignment.committed is not None:
                    gauge.labels(str(partition.partition)).set(max(0, end - assignment.committed))
