from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from simulators.keys import write_keys
from tests.simulators.carrier_client import CarrierClient
from tests.simulators.payment_clients import AlipayClient, WechatClient
from tests.simulators.processes import SimulatorProcess, start

TIME_SCALE = "0.05"


@pytest.fixture(scope="module")
def carrier_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    book = tmp_path_factory.mktemp("carrier") / "carrier.jsonl"
    process = start("carrier", "--book", book, "--time-scale", TIME_SCALE)
    yield process
    assert process.stop()[0] == 0


@pytest.fixture
async def carrier(carrier_process: SimulatorProcess) -> AsyncIterator[CarrierClient]:
    client = CarrierClient(carrier_process.url("carrier"))
    yield client
    await client.http.aclose()


@pytest.fixture
def book_path(tmp_path: Path) -> Path:
    return tmp_path / "book.jsonl"


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    write_keys(folder)
    return folder


@pytest.fixture(scope="module")
def wechat_process(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Iterator[SimulatorProcess]:
    book = tmp_path_factory.mktemp("wechat") / "wechat.jsonl"
    process = start("wechat", "--book", book, "--keys", keys, "--time-scale", TIME_SCALE, "--settle-seconds", "2")
    yield process
    assert process.stop()[0] == 0


@pytest.fixture
async def wechat(wechat_process: SimulatorProcess, keys: Path) -> AsyncIterator[WechatClient]:
    client = WechatClient(wechat_process.url("wechat"), keys)
    yield client
    await client.http.aclose()


@pytest.fixture(scope="module")
def alipay_process(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Iterator[SimulatorProcess]:
    book = tmp_path_factory.mktemp("alipay") / "alipay.jsonl"
    process = start("alipay", "--book", book, "--keys", keys, "--time-scale", TIME_SCALE)
    yield process
    assert process.stop()[0] == 0


@pytest.fixture
async def alipay(alipay_process: SimulatorProcess, keys: Path) -> AsyncIterator[AlipayClient]:
    client = AlipayClient(alipay_process.url("alipay"), keys)
    yield client
    await client.http.aclose()
