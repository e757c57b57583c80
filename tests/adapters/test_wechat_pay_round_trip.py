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
from tests.adapters.payment_simulator import AMOUNT_FEN, SETTLE_SECONDS, Desk, PaymentSimulator, start_provider

PATIENCE_SECONDS = 30
LIMIT_SECONDS = 1.0


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


async def test_a_refund_goes_from_unknown_over_accepted_to_confirmed(provider: WeChatPay, desk: Desk) -> None:
    assert await query(provider, desk) == RefundUnknown()
    assert isinstance(await refund(provider, desk), RefundAccepted)
    said = await ended(provider, desk)
    assert isinstance(said, RefundConfirmed)
    assert said.amount_fen == AMOUNT_FEN
    assert said.provider_refund_id
    assert isinstance(await refund(provider, desk), RefundAccepted)  # sent again: the same refund
    account = await desk.account()
    assert (account["refunded_fen"], account["refunds"]) == (AMOUNT_FEN, {desk.request.refund_number: "SUCCESS"})


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


async def test_a_lack_of_balance_is_held_and_the_same_number_works_later(provider: WeChatPay, desk: Desk) -> None:
    await desk.fault({"kind": "not_enough"})
    said = await refund(provider, desk)
    assert isinstance(said, RefundHeld)
    assert said.code == "NOT_ENOUGH"
    assert isinstance(await refund(provider, desk), RefundAccepted)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"kind": "user_account_abnormal"}, "USER_ACCOUNT_ABNORMAL"),
        ({"kind": "refuse", "status": 403, "code": "NO_AUTH"}, "NO_AUTH"),
        ({"kind": "refuse", "status": 400, "code": "INVALID_REQUEST"}, "INVALID_REQUEST"),
    ],
)
async def test_a_refusal_is_denied(provider: WeChatPay, desk: Desk, fault: dict[str, object], code: str) -> None:
    await desk.fault(fault)
    said = await refund(provider, desk)
    assert isinstance(said, RefundDenied)
    assert said.code == code


async def test_another_amount_under_one_number_is_refused(provider: WeChatPay, desk: Desk) -> None:
    await refund(provider, desk)
    other = desk.request.model_copy(update={"amount_fen": 1})
    assert isinstance(await provider.refund(other, timeout_seconds=PATIENCE_SECONDS), RefundDenied)
    said = await provider.query(other, timeout_seconds=PATIENCE_SECONDS)
    assert isinstance(said, RefundInDoubt)
    assert said.alert


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "hang"},
        {"kind": "reset"},
        {"kind": "error", "status": 502},
        {"kind": "system_error"},
        {"kind": "unsigned"},
        {"kind": "wrong_signature"},
        {"kind": "unknown_state"},
        {"kind": "malformed", "body": "not_json"},
        {"kind": "malformed", "body": "no_state"},
        {"kind": "malformed", "body": "wrong_type"},
        {"kind": "malformed", "body": "empty"},
    ],
    ids=str,
)
async def test_a_refund_whose_answer_is_lost_is_doubt_and_found_by_query(
    provider: WeChatPay, desk: Desk, fault: dict[str, object]
) -> None:
    await desk.fault(fault)
    limit_seconds = LIMIT_SECONDS if fault["kind"] == "hang" else PATIENCE_SECONDS
    assert isinstance(await refund(provider, desk, limit_seconds), RefundInDoubt)
    assert isinstance(await ended(provider, desk), RefundConfirmed)
    assert (await desk.account())["refunded_fen"] == AMOUNT_FEN


@pytest.mark.parametrize("kind", ["unsigned", "wrong_signature"])
async def test_an_answer_to_the_query_that_is_not_verified_confirms_nothing(
    provider: WeChatPay, desk: Desk, kind: str
) -> None:
    await refund(provider, desk)
    assert isinstance(await ended(provider, desk), RefundConfirmed)
    await desk.fault({"kind": kind, "target": "query"})
    said = await query(provider, desk)
    assert isinstance(said, RefundInDoubt)
    assert said.alert


async def test_a_throttled_refund_is_doubt_without_an_alert(provider: WeChatPay, desk: Desk) -> None:
    await desk.fault({"kind": "frequency_limited"})
    said = await refund(provider, desk)
    assert isinstance(said, RefundInDoubt)
    assert not said.alert
    assert await query(provider, desk) == RefundUnknown()


async def test_a_wrong_key_of_ours_alerts_and_says_what_to_check(simulator: PaymentSimulator, desk: Desk) -> None:
    wrong = simulator.settings["TOPUP_ALIPAY_PRIVATE_KEY"]
    async with WeChatPay.open(**(settings_of(simulator) | {"private_key": wrong})) as provider:
        for said in (await refund(provider, desk), await query(provider, desk)):
            assert isinstance(said, RefundInDoubt)
            assert said.alert
            assert "TOPUP_WECHAT_PRIVATE_KEY" in said.why


async def test_a_wrong_key_of_theirs_alerts_and_is_doubt(simulator: PaymentSimulator, desk: Desk) -> None:
    wrong = simulator.settings["TOPUP_ALIPAY_PUBLIC_KEY"]
    async with WeChatPay.open(**(settings_of(simulator) | {"public_key": wrong})) as provider:
        for said in (await refund(provider, desk), await query(provider, desk)):
            assert isinstance(said, RefundInDoubt)
            assert said.alert
