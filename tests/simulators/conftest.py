from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.simulators.carrier_client import CarrierClient
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
