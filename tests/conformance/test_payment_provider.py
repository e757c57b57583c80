"""Any payment provider: what carries the money, whatever it speaks."""

import asyncio
from typing import get_args

import pytest

from adapters.payments import registry
from adapters.payments.port import RefundClient
from configuration.processes import WorkerSettings
from orders.identities import goodwill_name, refund_number
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
from orders.paid_order import Provider as ProviderWord
from runtime.settings import SettingsError, load, variables_of
from tests.adapters.loopback import PATIENCE_SECONDS, UNANSWERED, Peer, answering, dead_url, head, loopback, too_late
from tests.adapters.payment_simulator import AMOUNT_FEN
from tests.conformance.conftest import THIRD, Provider, settings_of
from tests.conformance.kits import PROVIDER_KITS, ProviderKit, RunningProvider
from tests.runtime import environments


def always() -> bool:
    return True


async def refund(client: RefundClient, provider: Provider, **changes: object) -> RefundAnswer:
    request = provider.desk.request.model_copy(update=changes)
    return await client.refund(request, timeout_seconds=PATIENCE_SECONDS, in_time=always)


async def query(client: RefundClient, provider: Provider, **changes: object) -> RefundAnswer:
    request = provider.desk.request.model_copy(update=changes)
    return await client.query(request, timeout_seconds=PATIENCE_SECONDS)


async def ended(provider: Provider, **changes: object) -> RefundAnswer:
    """The first answer to a query that says more than that the refund is not done yet."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while isinstance(said := await query(provider.client, provider, **changes), RefundAccepted | RefundUnknown):
            await asyncio.sleep(0.05)
    return said


def elsewhere(kit: ProviderKit, running: RunningProvider, url: str):
    """The provider's client, told another address."""
    return settings_of(kit, {**running.environ, kit.url_variable: url + kit.path}).open()


def test_every_provider_has_a_kit_and_a_word_in_the_paid_order() -> None:
    assert registry.PROVIDERS.keys() == PROVIDER_KITS.keys()
    assert registry.PROVIDERS.keys() - THIRD.keys() == set(get_args(ProviderWord))


# --- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_it_is_configured_as_a_whole_or_not_at_all(kit: ProviderKit, running: RunningProvider) -> None:
    base = {name: text for name, text in environments.worker().items() if "WECHAT" not in name and "ALIPAY" not in name}
    environ = {**base, **running.environ}
    package = registry.PROVIDERS[kit.name]
    assert kit.name in load(environ, WorkerSettings).payments
    for variable in variables_of(package.refunds):
        if variable.needed:
            with pytest.raises(SettingsError) as raised:
                load({name: text for name, text in environ.items() if name != variable.name}, WorkerSettings)
            [fault] = raised.value.faults
            assert fault.startswith(f"{variable.name} is not set while other settings of {package.refunds.title} are")


def test_its_real_address_is_refused_in_scaled_time(kit: ProviderKit, running: RunningProvider) -> None:
    environ = {**environments.worker(), **running.environ, "TOPUP_TIME_SCALE": "0.5"}
    assert kit.name in load(environ, WorkerSettings).payments
    del environ[kit.url_variable]
    with pytest.raises(SettingsError) as raised:
        load(environ, WorkerSettings)
    assert any(kit.url_variable in fault for fault in raised.value.faults)


def test_its_secrets_stay_out_of_its_repr(kit: ProviderKit, running: RunningProvider) -> None:
    shown = repr(settings_of(kit, dict(running.environ)))
    secrets = [one.name for one in variables_of(registry.PROVIDERS[kit.name].refunds) if one.secret]
    assert secrets
    for name in secrets:
        assert running.environ[name].splitlines()[-1] not in shown


def test_it_goes_by_its_word_and_its_merchant(kit: ProviderKit, running: RunningProvider, provider: Provider) -> None:
    assert provider.client.name == kit.name
    assert provider.client.merchant_id == running.environ[kit.merchant_variable]
    assert provider.settings.url == running.environ[kit.url_variable]


# --- a refund's life ---------------------------------------------------------------------------------------------


async def test_a_refund_goes_from_unknown_over_accepted_to_confirmed(provider: Provider) -> None:
    """What the refund itself is answered with never confirms; sent again, it is the same refund."""
    assert await query(provider.client, provider) == RefundUnknown()
    assert isinstance(await refund(provider.client, provider), RefundAccepted)
    said = await ended(provider)
    assert isinstance(said, RefundConfirmed)
    assert said.amount_fen == AMOUNT_FEN
    assert isinstance(await refund(provider.client, provider), RefundAccepted)
    account = await provider.desk.account()
    assert (account["refunded_fen"], len(account["refunds"])) == (AMOUNT_FEN, 1)


async def test_a_refund_under_way_is_confirmed_only_once_it_is_done(kit: ProviderKit, provider: Provider) -> None:
    await provider.desk.fault({"kind": "processing"})
    assert isinstance(await refund(provider.client, provider), RefundAccepted)
    said = await query(provider.client, provider)
    assert isinstance(said, RefundUnknown if kit.unknown_while_under_way else RefundAccepted)
    assert isinstance(await refund(provider.client, provider), RefundAccepted)
    await provider.desk.settle()
    assert isinstance(await query(provider.client, provider), RefundConfirmed)
    assert (await provider.desk.account())["refunded_fen"] == AMOUNT_FEN


async def test_a_lack_of_balance_is_held_and_the_same_number_works_later(provider: Provider) -> None:
    await provider.desk.fault({"kind": "not_enough"})
    said = await refund(provider.client, provider)
    assert isinstance(said, RefundHeld)
    assert said.code
    assert said.why
    assert isinstance(await refund(provider.client, provider), RefundAccepted)


async def test_a_refusal_is_denied_with_a_code_and_a_way_out(kit: ProviderKit, provider: Provider) -> None:
    for fault in kit.refusals:
        await provider.desk.fault(dict(fault))
        said = await refund(provider.client, provider)
        assert isinstance(said, RefundDenied), fault
        assert said.code
        assert said.why
    assert (await provider.desk.account())["refunded_fen"] == 0


async def test_another_amount_under_one_number_never_confirms(provider: Provider) -> None:
    await refund(provider.client, provider)
    assert isinstance(await ended(provider), RefundConfirmed)
    said = await query(provider.client, provider, amount_fen=1)
    assert isinstance(said, RefundInDoubt)
    assert said.alert


async def test_parts_are_paid_back_each_under_its_number_and_never_above_the_payment(provider: Provider) -> None:
    """Goodwill: the payment's total stands beside each part, and the provider keeps to it as well."""
    order_id = provider.desk.request.refund_number.removeprefix("R")
    parts = [
        {"refund_number": refund_number(goodwill_name(order_id, number), 1), "amount_fen": amount_fen}
        for number, amount_fen in ((1, 1), (2, AMOUNT_FEN - 1), (3, 1))
    ]
    for part in parts[:2]:
        for _ in range(2):
            assert isinstance(await refund(provider.client, provider, **part), RefundAccepted)
        said = await ended(provider, **part)
        assert isinstance(said, RefundConfirmed)
        assert said.amount_fen == part["amount_fen"]
    assert isinstance(await query(provider.client, provider, **(parts[0] | {"amount_fen": 2})), RefundInDoubt)
    assert isinstance(await refund(provider.client, provider, **parts[2]), RefundDenied)
    assert await query(provider.client, provider, **parts[2]) == RefundUnknown()
    assert (await provider.desk.account())["refunded_fen"] == AMOUNT_FEN


async def test_a_payment_of_another_merchant_is_held_and_nothing_is_sent(
    kit: ProviderKit, running: RunningProvider, provider: Provider
) -> None:
    async with loopback(answering()) as far, elsewhere(kit, running, far.url) as client:
        for ask in (refund, query):
            assert isinstance(await ask(client, provider, merchant_id="another"), RefundHeld)
        assert far.connections == 0


# --- doubt -------------------------------------------------------------------------------------------------------


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
    provider: Provider, fault: dict[str, object]
) -> None:
    await provider.desk.fault(fault)

    async def acted() -> bool:
        return (await provider.desk.account()).get("refunded_fen") == AMOUNT_FEN

    asking = refund(provider.client, provider)
    said = await (too_late(asking, acted) if fault["kind"] == "hang" else asking)
    assert isinstance(said, RefundInDoubt)
    assert isinstance(await ended(provider), RefundConfirmed)
    assert (await provider.desk.account())["refunded_fen"] == AMOUNT_FEN


@pytest.mark.parametrize("kind", ["unsigned", "wrong_signature", "unknown_state"])
async def test_an_answer_to_the_query_that_is_not_verified_or_not_known_confirms_nothing(
    provider: Provider, kind: str
) -> None:
    await refund(provider.client, provider)
    assert isinstance(await ended(provider), RefundConfirmed)
    await provider.desk.fault({"kind": kind, "target": "query"})
    said = await query(provider.client, provider)
    assert isinstance(said, RefundInDoubt)
    assert said.alert


async def test_whoever_answers_in_its_place_settles_nothing(
    kit: ProviderKit, running: RunningProvider, provider: Provider
) -> None:
    """Neither a success nor a refusal, in no shape."""
    answer = b""

    async def impostor(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.say(answer)

    async with loopback(impostor) as far, elsewhere(kit, running, far.url) as client:
        for status in ("200 OK", "302 Found", "400 Bad Request", "404 Not Found", "503 Away"):
            for body in (b"{}", b"[]", b"", b"\xff", b'{"code": "RESOURCE_NOT_EXISTS"}', b'{"a":' * 5000):
                answer = head(len(body), status) + body
                for ask in (refund, query):
                    said = await ask(client, provider)
                    assert isinstance(said, RefundInDoubt), (status, body[:40], said)
    assert len(far.requests) == 60


@pytest.mark.parametrize("name", UNANSWERED)
async def test_whatever_fails_after_the_connect_is_doubt_within_the_limit(
    kit: ProviderKit, running: RunningProvider, provider: Provider, name: str
) -> None:
    async with loopback(UNANSWERED[name]) as far, elsewhere(kit, running, far.url) as client:
        said = await refund(client, provider)
        assert isinstance(said, RefundInDoubt)
        assert not said.alert
        assert client.health.silent_seconds() > 0


async def test_a_connection_that_is_never_made_is_doubt_without_an_alert(
    kit: ProviderKit, running: RunningProvider, provider: Provider
) -> None:
    async with elsewhere(kit, running, dead_url()) as client:
        said = await refund(client, provider)
    assert isinstance(said, RefundInDoubt)
    assert not said.alert


async def test_a_refund_that_is_late_is_not_sent(
    kit: ProviderKit, running: RunningProvider, provider: Provider
) -> None:
    looks = iter([True, False])
    async with loopback(answering(b"")) as far, elsewhere(kit, running, far.url) as client:
        said = await client.refund(
            provider.desk.request, timeout_seconds=PATIENCE_SECONDS, in_time=lambda: next(looks, False)
        )
        assert isinstance(said, RefundInDoubt)
        assert far.requests == []


async def test_only_the_provider_that_closes_refunds_ever_says_so(kit: ProviderKit, provider: Provider) -> None:
    """`RefundClosed` allows a new number, so that a wrong one pays twice."""
    await refund(provider.client, provider)
    said = await ended(provider)
    assert not isinstance(said, RefundClosed)
