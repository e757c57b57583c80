"""The Alipay adapter and the simulated provider, over the wire: signatures both ways, refunds in every state."""

from collections.abc import AsyncGenerator, Iterator

import httpx
import pytest

from adapters.payments.alipay.client import Alipay
from orders.outcomes import (
    RefundAccepted,
    RefundAnswer,
    RefundConfirmed,
    RefundDenied,
    RefundHeld,
    RefundInDoubt,
    RefundUnknown,
)
from tests.adapters.loopback import PATIENCE_SECONDS
from tests.adapters.payment_simulator import AMOUNT_FEN, Desk, PaymentSimulator, start_provider


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaymentSimulator]:
    started = start_provider("alipay", tmp_path_factory.mktemp("alipay"))
    yield started
    started.process.stop()


def settings_of(simulator: PaymentSimulator) -> dict[str, str]:
    names = ("APP_ID", "SELLER_ID", "PRIVATE_KEY", "PUBLIC_KEY")
    settings = {name.lower(): simulator.settings[f"TOPUP_ALIPAY_{name}"] for name in names}
    return settings | {"url": f"{simulator.url}/gateway.do"}


@pytest.fixture
async def provider(simulator: PaymentSimulator) -> AsyncGenerator[Alipay, None]:
    async with Alipay.open(**settings_of(simulator)) as opened:
        yield opened


@pytest.fixture
async def desk(simulator: PaymentSimulator) -> AsyncGenerator[Desk, None]:
    async with httpx.AsyncClient(base_url=simulator.url, trust_env=False) as http:
        desk = Desk(http, simulator.settings["TOPUP_ALIPAY_SELLER_ID"])
        await desk.pay()
        yield desk


async def refund(provider: Alipay, desk: Desk, timeout_seconds: float = PATIENCE_SECONDS) -> RefundAnswer:
    return await provider.refund(desk.request, timeout_seconds=timeout_seconds)


async def query(provider: Alipay, desk: Desk) -> RefundAnswer:
    return await provider.query(desk.request, timeout_seconds=PATIENCE_SECONDS)


async def test_a_refund_goes_from_unknown_over_accepted_to_confirmed(provider: Alipay, desk: Desk) -> None:
    assert await query(provider, desk) == RefundUnknown()
    first = await refund(provider, desk)
    assert isinstance(first, RefundAccepted)
    assert "fund_change=Y" in first.why
    assert await query(provider, desk) == RefundConfirmed(amount_fen=AMOUNT_FEN)
    again = await refund(provider, desk)
    assert isinstance(again, RefundAccepted)
    assert "fund_change=N" in again.why
    assert (await desk.account())["refunded_fen"] == AMOUNT_FEN


@pytest.mark.parametrize("absent", [True, False])
async def test_a_refund_that_moved_nothing_by_this_call_is_accepted(
    provider: Alipay,
    desk: Desk,
    absent: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    await desk.fault({"kind": "fund_change_n", "absent": absent})
    assert isinstance(await refund(provider, desk), RefundAccepted)
    assert isinstance(await query(provider, desk), RefundConfirmed)


async def test_a_trade_that_alipay_does_not_know_is_denied_by_the_refund_alone(provider: Alipay, desk: Desk) -> None:
    other = desk.request.model_copy(update={"transaction_id": "2023000000000000000000000000"})
    assert await provider.query(other, timeout_seconds=PATIENCE_SECONDS) == RefundUnknown()
    said = await provider.refund(other, timeout_seconds=PATIENCE_SECONDS)
    assert isinstance(said, RefundDenied)
    assert said.code == "ACQ.TRADE_NOT_EXIST"


async def test_a_wrong_key_of_ours_is_held(simulator: PaymentSimulator, desk: Desk) -> None:
    wrong = simulator.settings["TOPUP_WECHAT_PRIVATE_KEY"]
    async with Alipay.open(**(settings_of(simulator) | {"private_key": wrong})) as provider:
        for said in (await refund(provider, desk), await query(provider, desk)):
            assert isinstance(said, RefundHeld)
            assert said.code == "isv.invalid-signature"


async def test_a_wrong_key_of_theirs_alerts_and_is_doubt(simulator: PaymentSimulator, desk: Desk) -> None:
    wrong = simulator.settings["TOPUP_WECHAT_PUBLIC_KEY"]
    async with Alipay.open(**(settings_of(simulator) | {"public_key": wrong})) as provider:
        for said in (await refund(provider, desk), await query(provider, desk)):
            assert isinstance(said, RefundInDoubt)
            assert said.alert
