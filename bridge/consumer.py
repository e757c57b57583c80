"""The thread that owns the Kafka consumer: polls without a break, hands records over, commits the watermark.

kafka-python throws a rebalance away that finishes between two polls, and can then stay out of the group for ever
without an exception (measured). So one thread does nothing but poll, and a consumer whose group isn't stable for
longer than a rebalance may last is closed and built anew.
"""

import ctypes
import random
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Final

from kafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from bridge.commits import Commits, begin_at_the_earliest, read_on
from bridge.kafka_client import group_member, reader
from bridge.kafka_types import STABLE, Consumer, LogTruncationError, Message, Partition
from bridge.leases import LeaseListener, Leases, Record
from bridge.unreadable import PollStuck, Undecodable, poll, unreadable
from runtime.alerts import Alerts
from runtime.metrics import Metrics
from runtime.settings.groups import ConsumerGroup
from runtime.telemetry import get_logger
from runtime.waiting import in_one_line

POLL_MS: Final = 1_000
POLL_UNDER_PRESSURE_MS: Final = 200
"""While a partition is paused for its cap, so that it goes on soon. Only in a stable group, see above."""
UNSTABLE_SECONDS: Final = 40.0
"""A rebalance takes as long as its slowest member: a frozen one 10 s (its session). Longer is the client's wedge."""
STUCK_SECONDS: Final = 45.0
STALE_SECONDS: Final = 10.0
STALLED_SECONDS: Final = 60.0
"""A partition that has records and gives none. Once per offset: an open transaction looks the same."""
CLOSE_MS: Final = 5_000
LOOK_EVERY_SECONDS: Final = 2.0
MAX_IN_FLIGHT: Final = 2_000
"""Some seconds of work, over all partitions; what a crash makes the next bridge read again."""
MIN_IN_FLIGHT_PER_PARTITION: Final = 200
"""As much as one fetch brings, so that one busy partition isn't slowed by many idle ones."""
MAX_IN_FLIGHT_BYTES: Final = 64 * 1024 * 1024
FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 5.0

assert POLL_MS / 1000 < STALE_SECONDS < STUCK_SECONDS

_log = get_logger(__name__)


class Wedged(Exception):
    """The group doesn't get stable."""


class TopicMissing(Exception):
    """The topic isn't there."""


class Intake:
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
        make_reader: Callable[[ConsumerGroup], Consumer] = reader,
    ) -> None:
        self._settings = settings
        self._topic = settings.kafka_topic
        self._deliver = deliver
        self._metrics = metrics
        self._alert = Alerts(metrics.counter("topup_alerts_total"))
        self._make_member = make_member
        self._make_reader = make_reader
        self.leases = Leases()
        self._holds: set[str] = set()
        self._unreadable: dict[Partition, str] = {}
        self._trouble: str | None = f"Kafka at {settings.kafka_bootstrap_servers} was not reached yet."
        self._state = ""
        self._polled_at = time.monotonic()
        self._in_poll_since: float | None = None
        self._unstable_since: float | None = None
        self._standing: dict[Partition, tuple[int, float]] = {}
        self._cured: dict[Partition, int] = {}
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

    def hold(self, reason: str) -> None:
        """Take no records until the reason is released; polling goes on, so that the group stays as it is."""
        self._holds = self._holds | {reason}
        self._metrics.gauge("topup_bridge_paused").labels(reason).set(1)

    def release(self, reason: str) -> None:
        """The opposite of `hold`."""
        self._holds = self._holds - {reason}
        self._metrics.gauge("topup_bridge_paused").labels(reason).set(0)

    def remark(self) -> str:
        """What an operator wants to know of an intake that is well."""
        partitions = sorted(partition.partition for partition in self.leases.held())
        return f"Partitions {partitions} of {self._topic}, {self.leases.in_flight} records in hand."

    def trouble(self) -> str | None:
        """What keeps records from being read, as a sentence; None if nothing does."""
        if self._trouble is not None:
            return self._trouble
        held = self.leases.held()
        for partition in self._unreadable:
            if partition in held:
                return self._unreadable_sentence(partition)
        age = time.monotonic() - self._polled_at
        if age > STALE_SECONDS:
            return f"Kafka was last polled {age:.0f} s ago; if this stays, restart the bridge."
        if self._state != STABLE:
            return f"The consumer group {self._settings.kafka_group} is rebalancing; wait."
        return None

    def watch_once(self) -> None:
        """Free a poll that doesn't come back: the client spins behind a record that it can't decode (measured).

        Raises:
            RuntimeError: the poll thread ended by itself, which only a new process cures.
        """
        if not self._thread.is_alive() and not self._stopping.is_set():
            raise RuntimeError("the poll thread ended")
        since = self._in_poll_since
        thread_id = self._thread.ident
        if since is None or thread_id is None or time.monotonic() - since < STUCK_SECONDS:
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
        pause_seconds = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._membership()
            except Exception as error:  # noqa: BLE001 - whatever it is, the remedy is a new consumer
                self._say(error)
            if time.monotonic() - began > UNSTABLE_SECONDS:
                pause_seconds = FIRST_PAUSE_SECONDS
            self._stopping.wait(pause_seconds * random.uniform(0.5, 1))  # noqa: S311 - jitter, no key
            pause_seconds = min(LONGEST_PAUSE_SECONDS, pause_seconds * 2)

    def _membership(self) -> None:
        """One consumer's life: join, poll until told to stop or something breaks, commit, leave."""
        consumer = self._make_member(self._settings)
        commits = Commits(consumer, self.leases)
        positions: dict[Partition, int] = {}
        try:
            self.join(consumer, commits)
            while not self._stopping.is_set():
                self.poll_once(consumer, commits)
        except Undecodable:
            positions = {p: at for p in self.leases.held() if (at := commits.position(p)) is not None}
            raise
        finally:
            self._leave(consumer, commits)
            self._find_unreadable(positions)

    def join(self, consumer: Consumer, commits: Commits) -> None:
        """Subscribe; the polls that follow join the group."""
        listener = LeaseListener(
            self.leases,
            commit=commits.before_a_rebalance,
            assigned=lambda partitions: self._pause_unreadable(consumer, partitions),
        )
        consumer.subscribe([self._topic], listener=listener)
        if self._topic not in consumer.topics():
            raise TopicMissing
        self._trouble = None
        self._unstable_since = None
        self._standing.clear()
        self._polled_at = time.monotonic()

    def poll_once(self, consumer: Consumer, commits: Commits) -> None:
        """One poll and what belongs to it. Raises what only a new consumer cures."""
        pressed = self._steer(consumer) and self._state == STABLE
        fetched = self._poll(consumer, POLL_UNDER_PRESSURE_MS if pressed else POLL_MS)
        self._polled_at = time.monotonic()
        self._take(fetched)
        commits.when_due()
        self._watch_group(consumer)
        if self._polled_at >= self._next_look_at:
            self._next_look_at = self._polled_at + LOOK_EVERY_SECONDS
            self._watch_progress(consumer, commits)
            self._measure(consumer)

    def _watch_progress(self, consumer: Consumer, commits: Commits) -> None:
        """A partition that is read, has records and gives none is the client's fault: a new one cures it."""
        now = time.monotonic()
        for partition in consumer.assignment() - consumer.paused():
            position, end = commits.position(partition), consumer.highwater(partition)
            if position is None or end is None or position >= end:
                self._standing.pop(partition, None)
                continue
            since_position, since = self._standing.setdefault(partition, (position, now))
            if since_position != position:
                self._standing[partition] = (position, now)
            elif now - since > STALLED_SECONDS and self._cured.get(partition) != position:
                self._cured[partition] = position
                raise Wedged(f"partition {partition.partition} gave nothing for {STALLED_SECONDS:g} s")

    def _poll(self, consumer: Consumer, timeout_ms: int) -> Mapping[Partition, Sequence[Message]]:
        self._in_poll_since = time.monotonic()
        try:
            return poll(consumer, timeout_ms)
        except (KafkaConnectionError, KafkaTimeoutError) as error:
            _log.warning("poll failed", reason=in_one_line(error))
        except NoOffsetForPartitionError as error:
            begin_at_the_earliest(consumer, error)
        except OffsetOutOfRangeError as error:
            read_on(consumer, self.leases, error.args[0], self._alert)
        except LogTruncationError as error:
            cut: Collection[Partition] = getattr(error, "divergent_offsets", ())
            read_on(consumer, self.leases, dict.fromkeys(cut), self._alert)
        finally:
            self._in_poll_since = None
        return {}

    def _take(self, fetched: Mapping[Partition, Sequence[Message]]) -> None:
        records: list[Record] = []
        for partition, messages in fetched.items():
            lease = self.leases.get(partition)
            if lease is None:
                raise Wedged(f"records of partition {partition.partition} came without an assignment")
            for message in messages:
                lease.deliver(message.offset, len(message.key or b"") + len(message.value or b""))
                records.append(
                    Record(lease, message.offset, message.timestamp, message.key, message.value, message.headers)
                )
        if records:
            self._deliver(records)

    def _steer(self, consumer: Consumer) -> bool:
        """Pause and resume partitions as holds and caps want it; whether any is held back that will soon go on."""
        assigned = consumer.assignment()
        held = self.leases.held()
        cap = max(MIN_IN_FLIGHT_PER_PARTITION, MAX_IN_FLIGHT // max(1, len(assigned)))
        full = {p for p in assigned if (lease := held.get(p)) is not None and lease.in_flight >= cap}
        all_of_them = bool(self._holds) or self.leases.in_flight_bytes > MAX_IN_FLIGHT_BYTES
        wanted = set(assigned) if all_of_them else full | (assigned & self._unreadable.keys())
        paused = consumer.paused()
        with suppress(KeyError):  # revoked in this moment
            consumer.pause(*(wanted - paused))
            consumer.resume(*((paused & assigned) - wanted))
        return all_of_them or bool(full)

    def _pause_unreadable(self, consumer: Consumer, partitions: Collection[Partition]) -> None:
        """Partitions come back unpaused (measured); one that can't be read must not be fetched before `_steer`."""
        consumer.pause(*(self._unreadable.keys() & set(partitions)))

    def _watch_group(self, consumer: Consumer) -> None:
        self._state = consumer.group_metadata().state
        if self._state == STABLE:
            self._unstable_since = None
            if not consumer.assignment() and not consumer.partitions_for_topic(self._topic):
                raise TopicMissing
            return
        now = time.monotonic()
        self._unstable_since = self._unstable_since or now
        if now - self._unstable_since > UNSTABLE_SECONDS:
            raise Wedged(f"the group was not stable for {UNSTABLE_SECONDS:g} s")

    def _leave(self, consumer: Consumer, commits: Commits) -> None:
        """Commit and close, both bounded: a frozen broker holds `close` up for 30 s by default (measured)."""
        with suppress(Exception):  # a broker that is away, a membership that is lost: the records come again
            commits.now(CLOSE_MS)
        with suppress(Exception):
            consumer.close(autocommit=False, timeout_ms=CLOSE_MS)
        self.leases.assign(())
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
        elif isinstance(error, Undecodable):
            self._trouble = f"A record of {self._topic} can't be decoded ({reason}); its partition is looked for."
        elif isinstance(error, KafkaError):
            self._trouble = f"Kafka at {servers} is away ({reason}); start it, or correct its address."
        else:
            self._trouble = f"Reading from Kafka at {servers} broke off ({reason}); it is begun anew."
        if not isinstance(error, KafkaError | TopicMissing):  # those are said once a minute while they last
            _log.warning("consumer anew", reason=reason, sentence=self._trouble)

    def _measure(self, consumer: Consumer) -> None:
        self._metrics.gauge("topup_bridge_in_flight").set(self.leases.in_flight)
        gauge = self._metrics.gauge("topup_bridge_lag_records")
        gauge.clear()
        for partition, lease in self.leases.held().items():
            with suppress(KafkaError, AssertionError):
                end = consumer.highwater(partition)
                if end is not None and lease.committed is not None:
                    gauge.labels(str(partition.partition)).set(max(0, end - lease.committed))
