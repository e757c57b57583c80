from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass

import httpx
import pytest

from adapters.payments import registry
from adapters.payments.port import RefundClient
from adapters.payments.registry import ProviderPackage
from adapters.payments.settings import RefundSettings
from runtime.settings import Environment
from tests.adapters.payment_simulator import Desk
from tests.conformance.kits import PROVIDER_KITS, ProviderKit, RunningProvider
from tests.conformance.thirdpay.settings import ThirdpayNotifications, ThirdpayRefunds

THIRD = {"thirdpay": ProviderPackage(ThirdpayRefunds, ThirdpayNotifications)}


@pytest.fixture(scope="module", autouse=True)
def _third_provider() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction] - pytest uses it
    """One line in the registry, for these tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        for name, package in THIRD.items():
            patch.setitem(registry.PROVIDERS, name, package)
        yield


@pytest.fixture(scope="session", params=sorted(PROVIDER_KITS))
def kit(request: pytest.FixtureRequest) -> ProviderKit:
    return PROVIDER_KITS[request.param]


@pytest.fixture(scope="session")
def running(kit: ProviderKit, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProvider]:
    started = kit.start(tmp_path_factory.mktemp(kit.name))
    yield started
    started.process.stop()


@dataclass(frozen=True)
class Provider:
    """A provider's client with its own settings, and the merchant's desk at the simulator."""

    client: RefundClient
    desk: Desk
    settings: RefundSettings


def settings_of(kit: ProviderKit, environ: dict[str, str]) -> RefundSettings:
    """As a worker would load them."""
    return Environment(environ, "worker", demands=True).load(registry.PROVIDERS[kit.name].refunds)


@pytest.fixture
async def provider(kit: ProviderKit, running: RunningProvider) -> AsyncGenerator[Provider, None]:
    settings = settings_of(kit, dict(running.environ))
    async with (
        settings.open() as client,
        httpx.AsyncClient(base_url=running.url, trust_env=False) as http,
    ):
        desk = Desk(http, running.environ[kit.merchant_variable])
        await desk.pay()
        yield Provider(client, desk, settings)
