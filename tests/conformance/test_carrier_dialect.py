"""Any carrier dialect: what the money hangs on, whatever it speaks; and the more that one can do that can be asked."""

import re
import secrets
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from adapters.carriers.port import CarrierClient
from adapters.carriers.registry import DIALECTS
from adapters.carriers.settings import CarrierAccess
from configuration.processes import WorkerSettings
from orders.identities import carrier_serial
from orders.outcomes import Completed, InDoubt, NotFound, Refused
from orders.paid_order import PaidOrder
from runtime.settings import Environment, load
from simulators.carrier_flat import card_sha256
from tests.adapters.loopback import PATIENCE_SECONDS, UNANSWERED, Peer, answering, dead_url, head, loopback, too_late
from tests.adapters.test_carrier_tmf622 import paid_order
from tests.conformance.kits import DIALECT_KITS, DialectKit, start_carrier
from tests.runtime import environments
from tests.simulators.processes import SimulatorProcess
from workers.composition import carrier_times

TOKEN = "carrier-token"


def always() -> bool:
    return True


@pytest.fixture(params=sorted(DIALECTS))
def kit(request: pytest.FixtureRequest) -> DialectKit:
    return DIALECT_KITS[request.param]


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    process = start_carrier(tmp_path_factory.mktemp("carrier"), TOKEN)
    yield process
    process.stop()


def access(kit: DialectKit, url: str, token: str = TOKEN) -> CarrierAccess:
    environ = {"TOPUP_CARRIER_URL": url, "TOPUP_CARRIER_TOKEN": token, **kit.more}
    return Environment(environ, "worker", demands=True).load(DIALECTS[kit.name])


@dataclass(frozen=True)
class Case:
    """One paid order, the carrier's client, and the carrier's own account."""

    kit: DialectKit
    client: CarrierClient
    http: httpx.AsyncClient
    order: PaidOrder

    @property
    def body(self) -> bytes:
        return self.client.order_body(self.order, datetime.now(UTC) + timedelta(seconds=300))

    @property
    def serial(self) -> str:
        return carrier_serial(self.order.order_id)

    async def fault(self, **fault: object) -> None:
        key = self.order.vehicle.iccid if self.kit.by_card else self.serial
        (await self.http.put(f"/faults/{key}", json=[fault])).raise_for_status()

    async def sold(self) -> int:
        key = card_sha256(self.order.vehicle.iccid) if self.kit.by_card else self.serial
        return (await self.http.get("/book/summary")).json().get(key, {}).get("sold", 0)

    async def submit(self, body: bytes | None = None) -> Completed | Refused | InDoubt:
        return await self.client.submit(body or self.body, timeout_seconds=PATIENCE_SECONDS, in_time=always)


@pytest.fixture
async def case(kit: DialectKit, simulator: SimulatorProcess) -> AsyncGenerator[Case, None]:
    url = simulator.url("carrier")
    iccid = "8986" + "".join(secrets.choice("0123456789") for _ in range(16))
    order = paid_order(iccid=iccid).model_copy(update={"order_id": f"T{secrets.token_hex(8)}"})
    async with access(kit, url).open() as client, httpx.AsyncClient(base_url=url, trust_env=False) as http:
        yield Case(kit, client, http, order)


def can_be_asked(case: Case) -> bool:
    return DIALECTS[case.kit.name].can_be_asked


def test_every_dialect_has_a_kit() -> None:
    assert DIALECTS.keys() == DIALECT_KITS.keys()


# --- settings ----------------------------------------------------------------------------------------------------


def test_its_capabilities_and_its_pace_are_what_a_worker_goes_by(kit: DialectKit) -> None:
    settings = load({**environments.worker(), **kit.more, "TOPUP_CARRIER_DIALECT": kit.name}, WorkerSettings)
    dialect = DIALECTS[kit.name]
    times = carrier_times(settings)
    assert type(settings.carrier) is dialect
    assert times.can_be_asked == dialect.can_be_asked
    assert times.longest_latency == timedelta(seconds=dialect.pace.longest_latency_seconds)
    assert times.visibility_lag == timedelta(seconds=dialect.pace.visibility_lag_seconds)
    assert times.completion_window == timedelta(seconds=dialect.pace.completion_seconds)


def test_its_token_stays_out_of_its_repr(kit: DialectKit) -> None:
    assert "carrier-t0ken" not in repr(access(kit, "https://carrier.example", "carrier-t0ken"))


# --- an order ----------------------------------------------------------------------------------------------------


def test_its_name_is_its_word_in_the_registry_and_its_body_never_changes(case: Case) -> None:
    date = datetime(2026, 11, 28, tzinfo=UTC)
    assert case.client.name == case.kit.name
    assert case.client.order_body(case.order, date) == case.client.order_body(case.order, date)


async def test_an_order_is_completed_with_the_carriers_number(case: Case) -> None:
    said = await case.submit()
    assert isinstance(said, Completed)
    assert said.carrier_order_id
    assert await case.sold() == 1


async def test_a_definite_refusal_has_a_code_that_may_travel_and_sells_nothing(case: Case) -> None:
    await case.fault(**case.kit.refusal)
    said = await case.submit()
    assert isinstance(said, Refused)
    assert re.fullmatch(r"[A-Z0-9_]{1,64}", said.code)
    assert not said.burnt
    assert await case.sold() == 0


async def test_a_body_of_another_dialect_is_never_sent(case: Case) -> None:
    async with loopback(answering()) as far, access(case.kit, far.url).open() as client:
        for body in case.kit.not_its_bodies:
            with pytest.raises(ValueError, match="body"):
                await client.submit(body, timeout_seconds=PATIENCE_SECONDS, in_time=always)
        assert far.connections == 0


# --- doubt -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({"kind": "hang"}, "unanswered"),
        ({"kind": "reset"}, "unanswered"),
        ({"kind": "error", "status": 500}, "answered"),
        ({"kind": "error", "status": 403}, "answered"),
        ({"kind": "malformed", "body": "not_json"}, "answered"),
        ({"kind": "malformed", "body": "no_state"}, "answered"),
        ({"kind": "malformed", "body": "wrong_type"}, "answered"),
        ({"kind": "malformed", "body": "empty"}, "answered"),
        ({"kind": "unknown_state"}, "unknown"),
    ],
    ids=str,
)
async def test_an_order_whose_answer_was_lost_is_doubt_and_found_where_it_can_be_asked_for(
    case: Case, fault: dict[str, object], cause: str
) -> None:
    await case.fault(**fault)
    said = await (too_late(case.submit(), case.sold) if fault["kind"] == "hang" else case.submit())
    assert isinstance(said, InDoubt)
    assert said.cause == (case.kit.shows_unknown if cause == "unknown" else cause)
    assert await case.sold() == 1
    if can_be_asked(case):
        assert isinstance(await case.client.query(case.serial, timeout_seconds=PATIENCE_SECONDS), Completed)


async def test_a_throttled_order_is_doubt_and_sells_nothing(case: Case) -> None:
    await case.fault(kind="throttle", retry_after_seconds=7)
    said = await case.submit()
    assert isinstance(said, InDoubt)
    assert said.cause == "answered"
    assert await case.sold() == 0


async def test_a_wrong_token_alerts_and_sells_nothing(case: Case, simulator: SimulatorProcess) -> None:
    async with access(case.kit, simulator.url("carrier"), "another").open() as client:
        said = await client.submit(case.body, timeout_seconds=PATIENCE_SECONDS, in_time=always)
    assert isinstance(said, InDoubt)
    assert said.alert
    assert await case.sold() == 0


@pytest.mark.parametrize("name", UNANSWERED)
async def test_whatever_fails_after_the_connect_is_unanswered_within_the_limit(case: Case, name: str) -> None:
    async with loopback(UNANSWERED[name]) as far, access(case.kit, far.url).open() as client:
        said = await client.submit(case.body, timeout_seconds=PATIENCE_SECONDS, in_time=always)
        assert isinstance(said, InDoubt)
        assert said.cause == "unanswered"
        assert client.health.silent_seconds() > 0


async def test_what_is_no_answer_of_its_own_settles_nothing(case: Case) -> None:
    answer = b""

    async def stranger(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.say(answer)

    async with loopback(stranger) as far, access(case.kit, far.url).open() as client:
        for status in ("200 OK", "302 Found", "400 Bad Request", "409 Conflict", "503 Away"):
            for body in (b"{}", b"[]", b"", b"\xff", b'{"state": "completed"}', b'{"a":' * 5000):
                answer = head(len(body), status) + body
                said = await client.submit(case.body, timeout_seconds=PATIENCE_SECONDS, in_time=always)
                assert isinstance(said, InDoubt), (status, body[:40], said)
                assert said.cause == "answered"


async def test_a_connection_that_is_never_made_is_not_sent(case: Case) -> None:
    async with access(case.kit, dead_url()).open() as client:
        said = await client.submit(case.body, timeout_seconds=PATIENCE_SECONDS, in_time=always)
    assert isinstance(said, InDoubt)
    assert said.cause == "not_sent"


async def test_an_order_that_is_late_is_not_sent(case: Case) -> None:
    looks = iter([True, False])
    async with loopback(answering(b"")) as far, access(case.kit, far.url).open() as client:
        said = await client.submit(case.body, timeout_seconds=PATIENCE_SECONDS, in_time=lambda: next(looks, False))
        assert isinstance(said, InDoubt)
        assert said.cause == "not_sent"
        assert far.requests == []


# --- what it can and can't do ------------------------------------------------------------------------------------


async def test_one_that_can_be_asked_sells_a_serial_once_and_one_that_can_not_asks_nobody(case: Case) -> None:
    asked = await case.client.query(case.serial, timeout_seconds=PATIENCE_SECONDS)
    body = case.body
    first, again = await case.submit(body), await case.submit(body)
    if can_be_asked(case):
        assert asked == NotFound()
        assert first == again
        assert await case.client.query(case.serial, timeout_seconds=PATIENCE_SECONDS) == first
        assert await case.sold() == 1
    else:
        assert isinstance(asked, InDoubt)
        assert asked.cause == "not_sent"
        assert isinstance(again, Completed)
        assert await case.sold() == 2, "why there is one POST ever"


async def test_one_that_can_be_asked_burns_a_serial_for_ever_and_one_that_can_not_cancels_nothing(case: Case) -> None:
    burnt = await case.client.cancel(case.serial, timeout_seconds=PATIENCE_SECONDS)
    if not can_be_asked(case):
        assert isinstance(burnt, InDoubt)
        assert burnt.cause == "not_sent"
        return
    assert isinstance(burnt, Refused)
    assert burnt.burnt
    assert isinstance(await case.submit(), Refused)
    seen = await case.client.query(case.serial, timeout_seconds=PATIENCE_SECONDS)
    assert isinstance(seen, Refused)
    assert seen.burnt
    assert await case.sold() == 0
