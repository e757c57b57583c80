"""From record to run: nothing complete before it is safe, nothing twice, and no outage makes a dead letter."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from adapters.kafka.assignments import Record
from adapters.kafka.watermark import PartitionAssignment
from bridge import policies
from bridge.admission import AdmissionLimit
from bridge.outages import Outages
from bridge.pipeline import Pipeline
from orders.record_mac import HEADER, sign
from runtime.metrics import Metrics
from tests.bridge.conftest import paid_order
from tests.bridge.fakes import FakeBook, FakeDeadLetters, FakeTemporal, records
from tests.limits import WAIT_SECONDS


class Bench:
    """A pipeline on fakes."""

    def __init__(self, limit: int = 1000, record_keys: Sequence[bytes] = ()) -> None:
        self.book, self.temporal, self.dead_letters = FakeBook(), FakeTemporal(), FakeDeadLetters()
        self.metrics = Metrics()
        self.held: list[str] = []
        self.admission = AdmissionLimit(self.book.first_pass_count, limit)
        self.outages = Outages(on_away=self.held.append, on_back=self.held.remove)
        self.pipeline = Pipeline(
            book=self.book,
            admission=self.admission,
            start=self.temporal.start,
            dead_letters=self.dead_letters,
            outages=self.outages,
            metrics=self.metrics,
            record_keys=record_keys,
        )

    def counts(self) -> Counter[str]:
        lines = self.metrics.exposition().decode().splitlines()
        found = [
            [*line.split('"')[1::2], line.split()[-1]] for line in lines if line.startswith("topup_records_total{")
        ]
        return +Counter({result: int(float(value)) for result, value in found})

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[Bench]:
    task = asyncio.create_task(bench.pipeline.run())
    try:
        yield bench
    finally:
        task.cancel()
        await asyncio.wait((task,))
        assert task.cancelled(), task.exception()
        await bench.pipeline.settle(0)


@pytest.fixture(autouse=True)
def quick_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "RETRY_FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(policies, "RETRY_LONGEST_PAUSE_SECONDS", 0.05)


def value(number: int, **members: Any) -> bytes:
    return json.dumps({**paid_order(f"T{number:08}"), **members}).encode()


async def settled(bench: Bench, assignment: PartitionAssignment, taken: Sequence[Record]) -> None:
    bench.pipeline.offer(taken)
    await bench.until(lambda: not assignment.in_flight)


async def test_each_order_gets_one_run_and_its_offset_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.policies.PARSE_SECONDS", 60.0)  # however slow this machine is
    assignment = PartitionAssignment("orders", 0)
    async with running(Bench()) as bench:
        await settled(bench, assignment, records(assignment, [value(n) for n in range(250)]))
    assert sorted(bench.temporal.runs) == [f"T{n:08}" for n in range(250)]
    assert assignment.committable() == 250
    assert bench.counts() == {"started": 250}
    assert bench.temporal.most_at_once <= policies.STARTS_AT_ONCE
    assert bench.book.calls == 3


async def test_a_duplicate_starts_nothing_and_is_counted() -> None:
    assignment = PartitionAssignment("orders", 0)
    async with running(Bench()) as bench:
        await settled(bench, assignment, records(assignment, [value(1), value(1), value(2), value(1)]))
        await settled(bench, assignment, records(assignment, [value(1)], first=4))
    assert sorted(bench.temporal.runs) == ["T00000001", "T00000002"]
    assert bench.counts() == {"started": 2, "duplicate": 3}
    assert assignment.committable() == 5


async def test_a_settled_order_is_not_even_offered_to_temporal() -> None:
    assignment = PartitionAssignment("orders", 0)
    async with running(Bench()) as bench:
        await settled(bench, assignment, records(assignment, [value(1)]))
        bench.book.settled.add("T00000001")
        calls = bench.temporal.calls
        await settled(bench, assignment, records(assignment, [value(1)], first=1))
    assert bench.temporal.calls == calls
    assert bench.counts() == {"started": 1, "duplicate": 1}


async def test_of_two_that_conflict_the_lower_offset_stands_and_the_other_is_a_dead_letter() -> None:
    assignment = PartitionAssignment("orders", 0)
    async with running(Bench()) as bench:
        await settled(bench, assignment, records(assignment, [value(1), value(1, amount_fen=1), value(1)]))
    assert bench.temporal.runs == ["T00000001"]
    assert bench.dead_letters.letters == [(1, "conflict", "other content")]
    assert bench.counts() == {"started": 1, "conflict": 1, "duplicate": 1}
    assert assignment.committable() == 3


async def test_an_order_that_another_process_holds_waits_in_front_and_holds_no_other_up() -> None:
    """A bridge that was frozen in the middle of its claim (skypilot 10687, rudder-server 4598)."""
    assignment = PartitionAssignment("orders", 0)
    async with running(Bench()) as bench:
        bench.book.held.add("T00000001")
        bench.pipeline.offer(records(assignment, [value(n) for n in range(4)]))
        await bench.until(lambda: len(bench.temporal.runs) == 3)
        assert assignment.committable() == 1
        assert not bench.outages.sentence("database")
        bench.book.held.clear()
        await bench.until(lambda: not assignment.in_flight)
    assert sorted(bench.temporal.runs) == [f"T{n:08}" for n in range(4)]
    assert assignment.committable() == 4


async def test_a_held_order_keeps_its_place_before_a_later_record_that_conflicts_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def two_at_a_time(_: AdmissionLimit) -> int:
        return 2

    monkeypatch.setattr(AdmissionLimit, "capacity", two_at_a_time)
    assignment = PartitionAssignment("orders", 0)
    async with running(Bench()) as bench:
        bench.book.held.add("T00000001")
        bench.pipeline.offer(records(assignment, [value(1), value(2), value(1, amount_fen=1)]))
        tries = bench.book.calls
        await bench.until(lambda: bench.book.calls > tries + 3)
        bench.book.held.clear()
        await bench.until(lambda: not assignment.in_flight)
    assert bench.dead_letters.letters == [(2, "conflict", "other content")]


async def test_a_duplicate_whose_start_fails_at_first_is_a_duplicate() -> None:
    assignment = PartitionAssignment("orders", 0)
    async with running(Bench()) as bench:
        await settled(bench, assignment, records(assignment, [value(1)]))
        bench.temporal.away = True
        bench.pipeline.offer(records(assignment, [value(1)], first=1))
        await bench.until(lambda: bench.outages.sentence("temporal"))
        bench.temporal.away = False
        await bench.until(lambda: not assignment.in_flight)
    assert bench.counts() == {"started": 1, "duplicate": 1}


def calls(bench: Bench) -> bool:
    return b'topup_alerts_total{alert="order_not_started"} 1.0' in bench.metrics.exposition()


async def test_an_order_whose_row_stays_held_calls_a_person_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that somebody left open in a database shell has no limit of ours."""
    monkeypatch.setattr(policies, "CALL_PERSON_AFTER_SECONDS", 0.05)
    assignment = PartitionAssignment("orders", 0)
    async with running(Bench()) as bench:
        bench.book.held.add("T00000001")
        bench.pipeline.offer(records(assignment, [value(n) for n in range(4)]))
        await bench.until(lambda: calls(bench))
        tries = bench.book.calls
        await bench.until(lambda: bench.book.calls > tries + 20)
        assert calls(bench)
        bench.book.held.clear()
        await bench.until(lambda: not assignment.in_flight)


async def test_an_order_whose_start_fails_alone_holds_no_other_up_and_calls_a_person_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(policies, "CALL_PERSON_AFTER_SECONDS", 0.05)
    assignment = PartitionAssignment("orders", 0)
    async with running(Bench()) as bench:
        bench.temporal.refused.add("T00000001")
        bench.pipeline.offer(records(assignment, [value(n) for n in range(4)]))
        await bench.until(lambda: len(bench.temporal.runs) == 3)
        bench.pipeline.offer(records(assignment, [value(9)], first=4))
        await bench.until(lambda: calls(bench))
        await bench.until(lambda: "T00000009" in bench.temporal.runs)
        bench.temporal.refused.clear()
        await bench.until(lambda: not assignment.in_flight)
    assert calls(bench)


async def test_temporal_away_for_all_is_no_single_orders_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "CALL_PERSON_AFTER_SECONDS", 0.0)
    assignment = PartitionAssignment("orders", 0)
    async with running(Bench()) as bench:
        bench.temporal.away = True
        bench.pipeline.offer(records(assignment, [value(n) for n in range(4)]))
        await bench.until(lambda: bench.temporal.calls > 20)
        assert not calls(bench)
        bench.temporal.away = False
        await bench.until(lambda: not assignment.in_flight)


async def test_a_foreign_run_under_an_orders_id_calls_a_person_and_holds_no_record_up() -> None:
    """It was a silent duplicate: the order is in the book, and the sweep starts it once that run is closed."""
    assignment = PartitionAssignment("orders", 0)
    async with running(Bench()) as bench:
        bench.temporal.foreign.add("T00000001")
        await settled(bench, assignment, records(assignment, [value(n) for n in range(3)]))
        assert calls(bench)
        assert bench.temporal.runs == ["T00000000", "T00000002"]
        assert "T00000001" in bench.book.content
        assert bench.counts() == Counter(started=2, duplicate=1)


async def test_foreign_runs_take_no_place_of_the_intake() -> None:
    """As many as the gate lets in paused it for ever."""
    assignment = PartitionAssignment("orders", 0)
    async with running(Bench(limit=2)) as bench:
        bench.temporal.foreign.update(f"T{n:08}" for n in range(5))
        await settled(bench, assignment, records(assignment, [value(n) for n in range(7)]))
        assert bench.temporal.runs == ["T00000005", "T00000006"]
        assert {state.attention for state in bench.book.states.values()} == {"foreign_run"}
        assert len(bench.book.states) == 5


async def test_a_record_behind_a_foreign_run_is_not_complete_before_the_book_knows_of_it() -> None:
    """A bridge that dies between reads it again, and says it then."""
    assignment = PartitionAssignment("orders", 0)
    async with running(Bench()) as bench:
        bench.temporal.foreign.add("T00000000")
        bench.book.decides = False
        bench.pipeline.offer(records(assignment, [value(0)]))
        await bench.until(lambda: bench.outages.sentence("database"))
        assert assignment.in_flight
        bench.book.decides = True
        await bench.until(lambda: not assignment.in_flight)
        assert bench.book.states["T00000000"].attention == "foreign_run"
        assert bench.counts() == {"duplicate": 1}


async def test_one_payment_under_two_order_ids_is_a_conflict() -> None:
    assignment = PartitionAssignment("orders", 0)
    payment = paid_order("T00000001")["payment"]
    async with running(Bench()) as bench:
        await settled(bench, assignment, records(assignment, [value(1), value(2, payment=payment)]))
    assert bench.temporal.runs == ["T00000001"]
    assert [reason for _, reason, _ in bench.dead_letters.letters] == ["conflict"]


async def test_poison_is_a_dead_letter_and_claims_nothing() -> None:
    assignment = PartitionAssignment("orders", 0)
    poison = [None, b"", b"{}", b"x" * 70_000, value(1, amount_fen=0)]
    async with running(Bench()) as bench:
        await settled(bench, assignment, records(assignment, [*poison, value(1)]))
    assert {(offset, reason) for offset, reason, _ in bench.dead_letters.letters} == {
        (0, "invalid"),
        (1, "invalid"),
        (2, "invalid"),
        (3, "oversize"),
        (4, "invalid"),
    }
    assert bench.counts() == {"invalid": 4, "oversize": 1, "started": 1}
    assert assignment.committable() == 6


async def test_with_a_key_only_records_that_it_signed_are_orders() -> None:
    key, old_key = b"k" * 32, b"o" * 32
    assignment = PartitionAssignment("orders", 0)
    taken = records(assignment, [value(n) for n in range(6)])
    headers: list[list[tuple[str, bytes | None]]] = [
        [("traceparent", b"x"), (HEADER, sign(key, None, value(0)))],
        [(HEADER, sign(old_key, None, value(1)))],
        [],
        [(HEADER, sign(key, None, value(2)))],
        [(HEADER, sign(key, None, value(4)))] * 2,
        [(HEADER, sign(b"x" * 32, None, value(5)))],
    ]
    signed = [replace(record, headers=one) for record, one in zip(taken, headers, strict=True)]
    async with running(Bench(record_keys=(key, old_key))) as bench:
        await settled(bench, assignment, signed)
    assert sorted(bench.temporal.runs) == ["T00000000", "T00000001"]
    assert bench.counts() == {"started": 2, "invalid": 4}
    assert [(offset, reason) for offset, reason, _ in sorted(bench.dead_letters.letters)] == [
        (offset, "invalid") for offset in range(2, 6)
    ]
    assert all(HEADER in error for _, _, error in bench.dead_letters.letters)


async def test_what_nobody_signed_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A storm of it costs a hash each."""
    assignment = PartitionAssignment("orders", 0)
    parsed: list[bytes] = []
    monkeypatch.setattr("bridge.pipeline.parse", lambda _, value: parsed.append(value))
    async with running(Bench(record_keys=(b"k" * 32,))) as bench:
        await settled(bench, assignment, records(assignment, [value(0), b"{}"]))
    assert parsed == []
    assert all(HEADER in error for _, _, error in bench.dead_letters.letters)


async def test_a_storm_of_poison_does_not_hold_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.policies.PARSE_SECONDS", 0.0)  # as if each record took too long
    assignment, turns = PartitionAssignment("orders", 0), 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += bool(bench.dead_letters.letters)

    async with running(Bench()) as bench:
        beside = asyncio.create_task(others())
        await settled(bench, assignment, records(assignment, [b"{}"] * 50))
        beside.cancel()
    assert len(bench.dead_letters.letters) == 50
    assert turns >= 48


async def test_an_offset_is_not_complete_before_its_dead_letter_is_acknowledged() -> None:
    assignment = PartitionAssignment("orders", 0)
    async with running(Bench()) as bench:
        bench.dead_letters.away = True
        bench.pipeline.offer(records(assignment, [b"{}", value(1)]))
        await bench.until(lambda: bench.temporal.runs)
        await asyncio.sleep(0.05)
        assert assignment.committable() == 0
        assert bench.counts() == {"started": 1}
        assert bench.outages.sentence("dead_letters")
        bench.dead_letters.away = False
        await bench.until(lambda: not assignment.in_flight)
    assert assignment.committable() == 2


async def test_temporal_away_holds_the_consumer_back_and_makes_no_dead_letter() -> None:
    assignment = PartitionAssignment("orders", 0)
    async with running(Bench()) as bench:
        bench.temporal.away = True
        bench.pipeline.offer(records(assignment, [value(n) for n in range(120)]))
        await bench.until(lambda: bench.held == ["temporal"])
        calls = bench.temporal.calls
        await bench.until(lambda: bench.temporal.calls > calls + 5)
        assert assignment.committable() == 0
        bench.temporal.away = False
        await bench.until(lambda: not assignment.in_flight)
    assert Counter(bench.temporal.runs) == Counter(f"T{n:08}" for n in range(120))
    assert bench.held == []
    assert bench.dead_letters.letters == []
    assert bench.counts() == {"started": 120}


async def test_while_temporal_is_away_one_call_at_a_time_tries_it() -> None:
    assignment = PartitionAssignment("orders", 0)
    async with running(Bench()) as bench:
        bench.temporal.away = True
        bench.pipeline.offer(records(assignment, [value(n) for n in range(50)]))
        await bench.until(lambda: bench.temporal.calls == 51)
        bench.temporal.most_at_once = 0
        await bench.until(lambda: bench.temporal.calls > 51 + 5)
        assert bench.temporal.most_at_once == 1
        bench.temporal.away = False
        await bench.until(lambda: not assignment.in_flight)


async def test_the_book_away_holds_the_consumer_back_and_loses_nothing() -> None:
    assignment = PartitionAssignment("orders", 0)
    async with running(Bench()) as bench:
        bench.book.away = True
        bench.pipeline.offer(records(assignment, [value(1)]))
        await bench.until(lambda: bench.held == ["database"])
        assert bench.temporal.calls == 0
        bench.book.away = False
        await bench.until(lambda: not assignment.in_flight)
    assert bench.temporal.runs == ["T00000001"]
    assert bench.held == []


async def test_a_start_whose_answer_was_lost_counts_as_started() -> None:
    assignment = PartitionAssignment("orders", 0)
    async with running(Bench()) as bench:
        bench.temporal.loses_answers = 1
        await settled(bench, assignment, records(assignment, [value(1)]))
    assert bench.temporal.runs == ["T00000001"]
    assert bench.counts() == {"started": 1}


async def test_an_order_claimed_before_a_crash_and_never_started_is_started() -> None:
    first, again = PartitionAssignment("orders", 0), PartitionAssignment("orders", 0)
    async with running(Bench()) as bench:
        bench.temporal.away = True
        bench.pipeline.offer(records(first, [value(1)]))
        await bench.until(lambda: bench.book.content)
    reborn = Bench()
    reborn.book = bench.book
    reborn.pipeline._book = bench.book
    async with running(reborn):
        await settled(reborn, again, records(again, [value(1)]))
    assert reborn.temporal.runs == ["T00000001"]
    assert reborn.counts() == {"started": 1}


async def test_what_a_rebalance_takes_away_is_not_begun_and_what_was_begun_moves_no_watermark() -> None:
    assignment = PartitionAssignment("orders", 0)
    async with running(Bench()) as bench:
        taken = records(assignment, [value(1), b"{}"])
        assignment.end()
        bench.pipeline.offer(taken)
        await asyncio.sleep(0.05)
        assert bench.book.calls == 0
        assert bench.dead_letters.letters == []
        assert bench.counts() == {}


async def test_records_that_no_one_will_read_again_are_done_also_after_their_lease() -> None:
    assignment = PartitionAssignment("orders", 0)
    async with running(Bench()) as bench:
        taken = records(assignment, [value(1)])
        assignment.end(read_again=False)
        bench.pipeline.offer(taken)
        await bench.until(lambda: bench.temporal.runs)


async def test_a_record_that_comes_twice_to_one_process_is_counted_once() -> None:
    first, second = PartitionAssignment("orders", 0), PartitionAssignment("orders", 0)
    async with running(Bench()) as bench:
        bench.pipeline.offer(records(first, [value(1), b"{}"]))
        await bench.until(lambda: bench.counts().total() == 2)
        first.end()
        await settled(bench, second, records(second, [value(1), b"{}"]))
    assert bench.counts() == {"started": 1, "invalid": 1}


async def test_a_bug_with_one_record_holds_back_that_record_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assignment = PartitionAssignment("orders", 0)
    async with running(Bench()) as bench:
        start = bench.temporal.start

        async def broken(order: Any) -> bool:
            if order.order_id == "T00000001":
                raise TypeError("a bug")
            return await start(order)

        bench.pipeline._start = broken
        bench.pipeline.offer(records(assignment, [value(0), value(1), value(2)]))
        await bench.until(lambda: assignment.in_flight == 1)
        assert assignment.committable() == 1
        assert bench.held == []
        assert b'topup_alerts_total{alert="bug"} 1.0' in bench.metrics.exposition()


# --- admission ------------------------------------------------------------------------------------------------------


async def test_no_more_orders_are_claimed_than_there_is_capacity_for() -> None:
    assignment = PartitionAssignment("orders", 0)
    async with running(Bench(limit=10)) as bench:
        bench.pipeline.offer(records(assignment, [value(n) for n in range(35)]))
        for done in (0, 10, 20):
            await bench.until(lambda: len(bench.temporal.runs) == done + 10)  # noqa: B023 - awaited here
            counted = bench.book.counted
            await bench.until(lambda: bench.book.counted > counted + 2)  # noqa: B023 - likewise
            assert len(bench.book.content) == done + 10
            bench.book.settled.update(bench.temporal.runs)
        await bench.until(lambda: not assignment.in_flight)
    assert Counter(bench.temporal.runs) == Counter(f"T{n:08}" for n in range(35))


async def test_poison_does_not_wait_for_capacity() -> None:
    assignment = PartitionAssignment("orders", 0)
    async with running(Bench(limit=1)) as bench:
        bench.pipeline.offer(records(assignment, [value(0), value(1), b"{}", value(2), b"[]"]))
        await bench.until(lambda: len(bench.dead_letters.letters) == 2)
        await bench.until(lambda: bench.temporal.runs == ["T00000000"])


async def test_capacity_taken_up_by_orders_of_a_crash_lets_these_orders_pass() -> None:
    crashed, assignment = PartitionAssignment("orders", 0), PartitionAssignment("orders", 0)
    async with running(Bench(limit=5)) as bench:
        bench.temporal.away = True
        bench.pipeline.offer(records(crashed, [value(n) for n in range(100, 105)]))
        await bench.until(lambda: len(bench.book.content) == 5)
    reborn = Bench(limit=5)
    reborn.book = reborn.pipeline._book = bench.book
    reborn.pipeline._admission = AdmissionLimit(bench.book.first_pass_count, 5)
    async with running(reborn):  # what takes it up stands behind 300 others
        reborn.pipeline.offer(records(assignment, [value(n) for n in [*range(300, 600), *range(100, 105)]]))
        await reborn.until(lambda: len(reborn.temporal.runs) == 5)
    assert sorted(reborn.temporal.runs) == [f"T{n:08}" for n in range(100, 105)]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_the_limit_asks_the_book_only_when_it_must() -> None:
    clock = Clock()
    counts = [0, 8, 3]
    asked = 0

    async def count() -> int:
        nonlocal asked
        asked += 1
        return counts[min(asked, 3) - 1]

    admission = AdmissionLimit(count, 10, clock=clock)
    assert await admission.capacity() == 10
    admission.admit(4)
    assert await admission.capacity() == 6
    assert asked == 1  # known to have room
    admission.admit(6)
    assert await admission.capacity() == 0
    assert asked == 1  # full, but asked just now
    clock.now += 0.125
    assert await admission.capacity() == 2
    assert asked == 2
    clock.now += 1.0
    assert await admission.capacity() == 7  # other bridges let orders in too: a count is not believed for ever
    assert asked == 3


async def test_the_limit_says_how_long_there_was_no_capacity() -> None:
    clock = Clock()
    count = 10

    async def counted() -> int:
        return count

    admission = AdmissionLimit(counted, 10, clock=clock)
    assert await admission.capacity() == 0
    clock.now += 5
    assert await admission.capacity() == 0
    assert admission.full_seconds == 5
    count = 9
    clock.now += 1
    assert await admission.capacity() == 1
    assert admission.full_seconds == 0


# --- stop ------------------------------------------------------------------------------------------------------------


async def test_at_stop_what_was_claimed_is_started_and_what_waits_is_left() -> None:
    assignment = PartitionAssignment("orders", 0)
    bench = Bench(limit=10)
    task = asyncio.create_task(bench.pipeline.run())
    bench.temporal.away = True
    bench.pipeline.offer(records(assignment, [value(n) for n in range(20)]))
    await bench.until(lambda: len(bench.book.content) == 10)
    task.cancel()
    await asyncio.wait((task,))
    bench.temporal.away = False
    assert await bench.pipeline.settle(WAIT_SECONDS)
    assert sorted(bench.temporal.runs) == [f"T{n:08}" for n in range(10)]
    assert assignment.committable() == 10


async def test_a_stop_does_not_wait_for_ever() -> None:
    assignment = PartitionAssignment("orders", 0)
    bench = Bench()
    task = asyncio.create_task(bench.pipeline.run())
    bench.temporal.away = True
    bench.pipeline.offer(records(assignment, [value(1), value(1)]))
    await bench.until(lambda: bench.held)
    task.cancel()
    await asyncio.wait((task,))
    assert not await bench.pipeline.settle(0.05)
    await asyncio.sleep(0.05)
    assert assignment.committable() == 0
    assert bench.counts() == {}
