"""An order's trace, from callback to refund, at a collector that reads it by OpenTelemetry's own definitions."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters import http
from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from adapters.order_book.queries import Event
from adapters.otlp.client import OtlpClient, Sent, encoded
from adapters.otlp.settings import Tracing, headers, ratio
from orders.arrival import arrival_of
from orders.errors import Unavailable
from orders.outcomes import Refused
from orders.record import parse
from orders.trace import MOST_LINES, is_sampled, spans, trace_id
from runtime.clock import SystemClock
from runtime.metrics import Metrics
from tests.activities.conftest import Steps
from tests.certificates import make_certificates
from tests.gateway.providers import event, payment, wechat
from tests.gateway.serving import gateway
from tests.workers.otlp_receiver import Receiver
from tests.workflows.fakes import Post
from workers import tracing
from workers.tracing import AFTER_SECONDS, MOST_AT_ONCE, Tracer

AT = datetime(2026, 11, 23, 10, tzinfo=UTC)
FORGED = "4bf92f3577b34da6a3ce929d0e0e4736"
PERSONAL = ("LSGBC5342AG000001", "89860321247550000015", "14400000001")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    await made.start()
    yield made
    made.close()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Collector:
    """Takes what it is sent, unless told otherwise."""

    answers: list[Sent] = field(default_factory=list)
    orders: list[set[str]] = field(default_factory=list)

    async def send(self, spans: Any) -> Sent:
        self.orders.append({str(span.attributes["topup.order_id"]) for span in spans})
        return self.answers.pop(0) if self.answers else Sent()


async def one_line(order_ids: Sequence[str]) -> dict[str, list[Event]]:
    return {order_id: [Event(AT, "claimed", {})] for order_id in order_ids}


def counted(metrics: Metrics, result: str) -> float | None:
    return metrics._registry.get_sample_value("topup_traces_total", {"result": result})


def settings(**changes: Any) -> Tracing:
    return Tracing.model_construct(otlp_headers={}, **changes)


async def refunded(tmp_path: Path, heard: Any) -> Steps:
    """An order from its callback, with a forged trace, to its refund."""
    async with gateway() as gate:
        gate.now = datetime.now(UTC)
        request_headers, body = wechat(event(payment()), at=gate.now)
        forged = {"traceparent": f"00-{FORGED}-00f067aa0ba902b7-01", "tracestate": "a=b"}
        assert (await gate.post("wechat", (request_headers | forged, body))).status == 204
        [(_, key, value, record_headers)] = gate.topic.sent
    order = parse(key, value)
    book = OrderBook.open(f"sqlite:///{tmp_path / 'book.db'}", FieldCipher(bytes(32)), SystemClock())
    await book.migrate()
    came = [*record_headers, ("traceparent", forged["traceparent"].encode())]  # whoever writes the topic may write this
    await book.claim([order], [arrival_of(3, 17, came)])
    steps = Steps(book)
    steps.order = order
    object.__setattr__(steps.desk, "journal", heard)
    steps.carrier.plan = [Post(answer=Refused(code=f"SIM_SUSPENDED {PERSONAL[0]}"))]
    for step in (
        steps.telecom.place_telecom_order,
        steps.refunding.record_refund,
        steps.refunding.refund_payment,
        steps.refunding.query_refund,
        steps.recording.record_order,
    ):
        await steps.run(step)
    await book.write_notices(order.order_id, "refunded", {"old": ("acknowledged", f"told {PERSONAL[2]}")})
    return steps


async def test_one_trace_goes_from_the_callback_to_the_refund_and_a_forged_one_has_no_part_in_it(
    receiver: Receiver, tmp_path: Path
):
    clock, metrics = Clock(), Metrics()
    async with http.client() as client:
        collector = OtlpClient(client, settings(otlp_endpoint=receiver.url))

        async def trails(order_ids: Sequence[str]) -> Any:
            return await steps.book.events_of(order_ids)

        tracer = Tracer(trails, collector, ratio=0, slow_seconds=1e9, now=clock)
        steps = await refunded(tmp_path, tracer.hear)
        clock.now += AFTER_SECONDS
        await tracer.run_once(metrics)
        await steps.book.close()

    told = receiver.spans()
    assert {span.trace_id.hex() for span in told} == {trace_id(steps.order.order_id)} != {FORGED}
    [root] = [span for span in told if not span.parent_span_id]
    assert root.name == "order"
    assert {span.parent_span_id for span in told if span is not root} == {root.span_id}
    assert len({span.span_id for span in told}) == len(told)
    begun = sorted(told, key=lambda span: (span.start_time_unix_nano, span.end_time_unix_nano))
    story = [span.name for span in begun if span is not root]
    assert story == [
        "callback",
        "record",
        "start",
        "post",
        "refund_intent",
        "refund_answer",
        "refund_query",
        "settle",
        "notice_refunded",
    ]
    assert all(root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano for span in told)
    said = {pair.key: pair.value.string_value for span in told for pair in span.attributes}
    assert said["topup.code"] == "SIM_SUSPENDED [vin]"
    assert said["topup.outcome"] == "refunded"
    assert {"gateway", "bridge", "worker"} == {
        pair.value.string_value.removeprefix("topup-")
        for request in receiver.requests
        for resource in request.resource_spans
        for pair in resource.resource.attributes
        if pair.key == "service.name"
    }
    assert not any(one in str(receiver.requests) for one in (*PERSONAL, FORGED))
    assert (counted(metrics, "sent"), counted(metrics, "lost")) == (1, 0)


@pytest.mark.parametrize(
    ("happened", "fields", "kept"),
    [
        ("settled", {"outcome": "delivered", "paid_to_settled_seconds": 3.0}, False),
        ("settled", {"outcome": "delivered", "paid_to_settled_seconds": 60.5}, True),
        ("settled", {"outcome": "delivered", "doubted": True}, True),
        ("settled", {"outcome": "refunded"}, True),
        ("settled_before", {"outcome": "refunded"}, True),
        ("settled_before", {"outcome": "delivered", "paid_to_settled_seconds": 3.0}, False),
        ("needs_person", {"attention": "partial"}, True),
        ("freed", {}, False),
        ("sent", {"post": 1}, False),
    ],
)
async def test_what_was_in_trouble_is_kept_and_nothing_is_read_for_the_rest(
    happened: str, fields: dict[str, Any], *, kept: bool
):
    collector, clock, read_of = Collector(), Clock(), list[str]()

    async def trails(order_ids: Sequence[str]) -> dict[str, list[Event]]:
        read_of.extend(order_ids)
        return await one_line(order_ids)

    tracer = Tracer(trails, collector, ratio=0, slow_seconds=60, now=clock)
    tracer.hear(happened, "T000001", **fields)
    await tracer.run_once(Metrics())
    assert read_of == []  # its last notices may not stand there yet
    clock.now += AFTER_SECONDS
    await tracer.run_once(Metrics())

    assert read_of == ["T000001"] * kept
    assert collector.orders == [{"T000001"}] * kept


def test_a_ratio_takes_its_share_and_the_same_orders_each_time():
    orders = [f"T{number:06}" for number in range(4000)]

    tenth = {one for one in orders if is_sampled(one, 0.1)}

    assert 300 < len(tenth) < 500
    assert tenth < {one for one in orders if is_sampled(one, 0.2)}
    assert not any(is_sampled(one, 0) for one in orders)
    assert all(is_sampled(one, 1) for one in orders)


async def test_a_collector_that_hangs_or_is_away_holds_nothing_up_and_gets_the_traces_when_it_is_back(
    receiver: Receiver,
):
    clock, metrics = Clock(), Metrics()
    async with http.client() as client:
        collector = OtlpClient(client, settings(otlp_endpoint=receiver.url), send_seconds=0.2)
        tracer = Tracer(one_line, collector, ratio=1, slow_seconds=60, now=clock)
        receiver.hangs = True
        tracer.hear("settled", "T000001", outcome="refunded")
        clock.now += AFTER_SECONDS
        sending = asyncio.create_task(tracer.run_once(metrics))
        await asyncio.sleep(0)
        tracer.hear("settled", "T000002", outcome="refunded")  # nobody waits: it isn't even a coroutine
        await sending
        assert (counted(metrics, "sent"), counted(metrics, "lost")) == (0, 0)

        collector._send_seconds = 60  # from here on it answers, however slow the machine
        receiver.hangs, receiver.status = False, 503
        await tracer.run_once(metrics)
        receiver.status = 200
        clock.now += AFTER_SECONDS
        await tracer.run_once(metrics)
        await tracer.run_once(metrics)

    assert len(receiver.requests) == 1
    assert {span.trace_id.hex() for span in receiver.spans()} == {trace_id("T000001"), trace_id("T000002")}
    assert (counted(metrics, "sent"), counted(metrics, "lost")) == (2, 0)


async def test_what_a_collector_refuses_is_lost_and_counted_once(receiver: Receiver):
    clock, metrics = Clock(), Metrics()
    async with http.client() as client:
        collector = OtlpClient(client, settings(otlp_endpoint=receiver.url))
        tracer = Tracer(one_line, collector, ratio=1, slow_seconds=60, now=clock)
        for status, answer in ((400, {}), (200, {"partialSuccess": {"rejectedSpans": "1"}})):
            receiver.status, receiver.answer = status, answer
            tracer.hear("settled", "T000001", outcome="refunded")
            clock.now += AFTER_SECONDS
            await tracer.run_once(metrics)
            await tracer.run_once(metrics)

    assert (counted(metrics, "sent"), counted(metrics, "lost")) == (0, 2)


async def test_a_collector_of_a_company_s_own_authority_is_trusted_by_that_authority_s_file_alone(tmp_path: Path):
    certificates = make_certificates(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificates.server)
    receiver, order = Receiver(), spans("T000001", [Event(AT, "claimed", {})])
    await receiver.start(tls)

    async def sent(cafile: str | None) -> Sent:
        async with http.client(cafile=cafile) as client:
            return await OtlpClient(client, settings(otlp_endpoint=receiver.url)).send(order)

    for stranger in (None, certificates.other_authority):
        found = await sent(stranger)
        assert found.again
        assert "its certificate is not trusted" in found.why
    assert await sent(certificates.authority) == Sent()
    assert len(receiver.requests) == 1
    receiver.close()


async def test_a_collector_that_lets_nobody_in_without_a_token_is_said_so(receiver: Receiver):
    receiver.status = 401
    async with http.client() as client:
        found = await OtlpClient(client, settings(otlp_endpoint=receiver.url)).send([])
    assert found == Sent("The collector of TOPUP_OTLP_ENDPOINT answered HTTP 401. See TOPUP_OTLP_HEADERS.")


async def test_a_storm_is_sent_at_its_pace_and_what_does_not_fit_is_lost_and_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tracing, "MOST_WAITING", 50)
    collector, clock, metrics = Collector(), Clock(), Metrics()
    tracer = Tracer(one_line, collector, ratio=1, slow_seconds=60, now=clock)
    for number in range(53):
        tracer.hear("settled", f"T{number:06}", outcome="delivered")
    clock.now += AFTER_SECONDS

    await tracer.run_once(metrics)
    assert collector.orders == [{f"T{number:06}" for number in range(3, 3 + MOST_AT_ONCE)}]
    assert counted(metrics, "lost") == 3
    for _ in range(3):
        await tracer.run_once(metrics)
    assert counted(metrics, "sent") == 50


async def test_a_book_that_is_away_loses_no_trace_and_a_bug_of_ours_loses_its_own_alone():
    clock, metrics, collector = Clock(), Metrics(), Collector()
    raises: list[Exception] = [Unavailable("away"), KeyError("bug")]

    async def trails(order_ids: Sequence[str]) -> dict[str, list[Event]]:
        if raises:
            raise raises.pop(0)
        return await one_line(order_ids)

    tracer = Tracer(trails, collector, ratio=1, slow_seconds=60, now=clock)
    tracer.hear("settled", "T000001", outcome="delivered")
    clock.now += AFTER_SECONDS
    await tracer.run_once(metrics)
    assert counted(metrics, "lost") == 0
    await tracer.run_once(metrics)
    assert counted(metrics, "lost") == 1

    tracer.hear("settled", "T000002", outcome="delivered")
    clock.now += AFTER_SECONDS
    await tracer.run_once(metrics)
    assert collector.orders == [{"T000002"}]


async def test_news_of_an_order_that_is_just_being_sent_are_sent_too():
    clock, metrics = Clock(), Metrics()

    class Meanwhile(Collector):
        async def send(self, spans: Any) -> Sent:
            if not self.orders:
                clock.now += 1
                tracer.hear("settled", "T000001", outcome="delivered")
            return await super().send(spans)

    collector = Meanwhile()
    tracer = Tracer(one_line, collector, ratio=1, slow_seconds=60, now=clock)
    tracer.hear("needs_person", "T000001", attention="partial")
    clock.now += AFTER_SECONDS
    await tracer.run_once(metrics)
    clock.now += AFTER_SECONDS
    await tracer.run_once(metrics)

    assert len(collector.orders) == 2


async def test_a_worker_that_stops_sends_what_waits():
    collector, metrics = Collector(), Metrics()
    tracer = Tracer(one_line, collector, ratio=1, slow_seconds=60)
    running = asyncio.create_task(tracer.run(metrics))
    await asyncio.sleep(0)
    orders = [f"T{number:06}" for number in range(MOST_AT_ONCE + 5)]
    for order_id in orders:
        tracer.hear("settled", order_id, outcome="delivered")
    running.cancel()
    await asyncio.wait([running])

    assert running.cancelled()
    assert collector.orders == [set(orders[:MOST_AT_ONCE]), set(orders[MOST_AT_ONCE:])]


async def test_a_worker_that_stops_asks_a_collector_that_takes_nothing_once():
    collector, metrics = Collector(answers=[Sent("away", again=True)] * 5), Metrics()
    tracer = Tracer(one_line, collector, ratio=1, slow_seconds=60)
    running = asyncio.create_task(tracer.run(metrics))
    await asyncio.sleep(0)
    tracer.hear("settled", "T000001", outcome="delivered")
    running.cancel()
    await asyncio.wait([running])

    assert running.cancelled()
    assert len(collector.orders) == 1


# --- what is told -----------------------------------------------------------------------------------------------------


def line(seconds: float, kind: str, **detail: Any) -> Event:
    return Event(AT + timedelta(seconds=seconds), kind, detail)


PARKED = [
    line(0, "claimed", partition=0, offset=1, notified_at="2026-11-23T09:59:58.000000Z"),
    line(1, "duplicate", times=1, partition=0, offset=2),
    line(3, "post_intent", post=1, send_before="2026-11-23T10:00:10Z"),
    line(9, "post", says="in_doubt", cause="no_answer", why=f"No answer for {PERSONAL[0]}."),
    line(20, "query", says="in_doubt", calls_for="partial"),
]
SETTLED = [
    *PARKED,
    line(90, "resolve", operator="li", note=f"called {PERSONAL[2]}", outcome="delivered"),
    line(91, "settle", outcome="delivered"),
]


def test_what_was_told_of_a_parked_order_is_told_again_word_by_word_at_its_end():
    early, late = spans("T000001", PARKED), spans("T000001", SETTLED)

    assert [span for span in late if span.span_id in {one.span_id for one in early}] == early
    assert [span.name for span in late if span not in early] == ["order", "resolve", "settle"]


def test_each_wait_has_its_length_and_trouble_is_marked():
    took = {span.name: (span.end - span.begin).total_seconds() for span in spans("T000001", SETTLED)}

    assert took == {
        "order": 93, "callback": 0, "record": 2, "duplicate": 0, "start": 3, "post": 6, "query": 0, "resolve": 0,
        "settle": 0,
    }  # fmt: skip
    assert {span.name for span in spans("T000001", SETTLED) if span.failed} == {"post", "query"}


def test_a_post_that_was_never_answered_stays_in_the_trace_beside_the_next_one():
    trail = [
        line(0, "claimed"),
        line(1, "post_intent", post=1),
        line(100, "query", says="empty"),
        line(101, "post_intent", post=2),
        line(103, "post", says="completed"),
    ]

    found = {(span.name, span.begin, span.end) for span in spans("T000001", trail)}

    assert ("post_intent", trail[1].at, trail[1].at) in found
    assert ("post", trail[3].at, trail[4].at) in found


def test_nothing_that_a_person_wrote_or_that_quotes_anybody_leaves():
    body = encoded(spans("T000001", SETTLED)).decode()

    assert "in_doubt" in body
    assert not any(one in body for one in (*PERSONAL, "operator", "called", "No answer"))


def test_a_callback_that_cannot_have_been_then_moves_no_beginning():
    for notified_at in ("0001-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-23T09:59:58", ""):
        found = spans("T000001", [line(0, "claimed", notified_at=notified_at), line(1, "settle", outcome="delivered")])
        assert {span.name for span in found} == {"record", "order", "start", "settle"}, notified_at
        assert min(span.begin for span in found) == AT
    [callback, *_] = spans("T000001", [line(0, "claimed", notified_at="2026-11-23T10:00:05Z")])
    assert callback.end == AT  # clocks differ


def test_a_trail_of_weeks_is_told_by_its_beginning_and_its_end():
    long = [*PARKED, *(line(100 + number, "query", says="in_doubt") for number in range(5000)), *SETTLED[-2:]]

    found = spans("T000001", long)

    assert len(found) < MOST_LINES + 5
    assert {"callback", "post", "settle", "order"} <= {span.name for span in found}


@pytest.mark.parametrize("text", ["", "a", "a b=c", "a=b,", "a=%0d%0ax", "=b"])
def test_headers_of_another_form_are_refused(text: str):
    with pytest.raises(ValueError, match="name=value"):
        headers(text)


def test_headers_and_ratio_are_read_as_the_collector_s_world_writes_them():
    assert headers("authorization=Bearer%20a-b, X-Scope=1") == {"authorization": "Bearer a-b", "x-scope": "1"}
    assert [ratio(text) for text in ("0", "1", "0.25", "1.0", ".5")] == [0, 1, 0.25, 1, 0.5]
    for text in ("1.1", "-0", "nan", "1e-3", ""):
        with pytest.raises(ValueError, match="from 0 to 1"):
            ratio(text)
