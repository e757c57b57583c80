"""The WeChat Pay adapter and the simulated provider, over the wire: signatures both ways, refunds in every state."""

import asyncio
from collections.abc import AsyncGenerator, Iterator

import httpx
import pytest

from adapters.payments.wechat.client import WeChatPay
from orders.outcomes import (
    RefundAccepted,
    RefundAnswer,
    RefundClosed,
    RefundConfirmed,
    RefundDenied,
    RefundHeld,
    RefundInDoubt,
    RefundUnknown,
)
from tests.adapters.loopback import PATIENCE_SECONDS
from tests.adapters.payment_simulator import SETTLE_SECONDS, Desk, PaymentSimulator, start_provider


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaymentSimulator]:
    started = start_provider("wechat", tmp_path_factory.mktemp("wechat"), "--settle-seconds", str(SETTLE_SECONDS))
    yield started
    started.process.stop()


def settings_of(simulator: PaymentSimulator) -> dict[str, str]:
    names = ("SERIAL_NO", "PRIVATE_KEY", "PUBLIC_KEY_ID", "PUBLIC_KEY")
    settings = {name.lower(): simulator.settings[f"TOPUP_WECHAT_{name}"] for name in names}
    return settings | {"url": simulator.url, "merchant_id": simulator.settings["TOPUP_WECHAT_MCHID"]}


@pytest.fixture
async def provider(simulator: PaymentSimulator) -> AsyncGenerator[WeChatPay, None]:
    async with WeChatPay.open(**settings_of(simulator)) as opened:
        yield opened


@pytest.fixture
async def desk(simulator: PaymentSimulator) -> AsyncGenerator[Desk, None]:
    async with httpx.AsyncClient(base_url=simulator.url, trust_env=False) as http:
        desk = Desk(http, simulator.settings["TOPUP_WECHAT_MCHID"])
        await desk.pay()
        yield desk


async def refund(provider: WeChatPay, desk: Desk, timeout_seconds: float = PATIENCE_SECONDS) -> RefundAnswer:
    return await provider.refund(desk.request, timeout_seconds=timeout_seconds)


async def query(provider: WeChatPay, desk: Desk) -> RefundAnswer:
    return await provider.query(desk.request, timeout_seconds=PATIENCE_SECONDS)


async def ended(provider: WeChatPay, desk: Desk) -> RefundAnswer:
    """The first answer to a query that says more than that the refund is under way."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while isinstance(said := await query(provider, desk), RefundAccepted):
            await asyncio.sleep(0.05)
    return said


async def test_a_closed_refund_allows_a_new_number(provider: WeChatPay, desk: Desk) -> None:
    await desk.fault({"kind": "closed"})
    await refund(provider, desk)
    assert await ended(provider, desk) == RefundClosed()
    assert await refund(provider, desk) == RefundClosed()


async def test_an_abnormal_refund_is_for_a_person_and_confirmed_after(provider: WeChatPay, desk: Desk) -> None:
    await desk.fault({"kind": "abnormal"})
    await refund(provider, desk)
    said = await ended(provider, desk)
    assert isinstance(said, RefundDenied)
    assert said.code == "ABNORMAL"
    await desk.settle()
    assert isinstance(await query(provider, desk), RefundConfirmed)


async def test_a_throttled_refund_is_doubt_without_an_alert(provider: WeChatPay, desk: Desk) -> None:
    await desk.fault({"kind": "frequency_limited"})
    said = await refund(provider, desk)
    assert isinstance(said, RefundInDoubt)
    assert not said.alert
    assert await query(provider, desk) == RefundUnknown()


async def test_a_wrong_key_of_ours_is_held_where_the_refusal_is_signed(simulator: PaymentSimulator, desk: Desk) -> None:
    wrong = simulator.settings["TOPUP_ALIPAY_PRIVATE_KEY"]
    async with WeChatPay.open(**(settings_of(simulator) | {"private_key": wrong})) as provider:
        for said in (await refund(provider, desk), await query(provider, desk)):
            assert isinstance(said, RefundHeld)
            assert said.code == "SIGN_ERROR"


async def test_a_wrong_key_of_theirs_alerts_and_is_doubt(simulator: PaymentSimulator, desk: Desk) -> None:
    wrong = simulator.settings["TOPUP_ALIPAY_PUBLIC_KEY"]
    async with WeChatPay.open(**(settings_of(simulator) | {"public_key": wrong})) as provider:
        for said in (await refund(provider, desk), await query(provider, desk)):
            assert isinstance(said, RefundInDoubt)
            assert said.alert
