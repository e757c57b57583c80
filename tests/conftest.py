"""Real servers as session fixtures, and a clean end of the run.

| fixture | is | or, from the setting, one that runs already |
|---|---|---|
| `postgres` | `devkit.servers.postgres.Postgres` | `TOPUP_TEST_POSTGRES_URL` (a role that may create databases) |
| `kafka` | `devkit.servers.kafka.Kafka` | `TOPUP_TEST_KAFKA` (bootstrap servers) |
| `mosquitto` | `devkit.servers.mosquitto.Mosquitto` | `TOPUP_TEST_MQTT_URL` |
| `temporal_server` | `devkit.servers.temporal.Temporal` | `TOPUP_TEST_TEMPORAL` (host:port) |
| `temporal_client` | a client of `temporal_server` with the product's data converter | |
| `time_skipping_env` | `temporalio.testing.TimeSkipper`: `.client`, `.fast_forward(handle, delta)` | |

A test that kills, freezes or stops a part must leave it running and answering: others share it.
"""

import os
import sys
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
from hypothesis import settings
from temporalio.client import Client
from temporalio.testing import TimeSkipper, TimeSkippingConfig

from devkit.servers.kafka import Kafka
from devkit.servers.mosquitto import Mosquitto
from devkit.servers.postgres import Postgres
from devkit.servers.process import PartMissingError, PartNotOursError, Process, watchdog
from devkit.servers.temporal import Temporal

settings.register_profile("topup", deadline=None)  # a busy machine is slow at everything: that shows no fault
settings.load_profile("topup")

PartType = TypeVar("PartType", bound=Process)

_not_shown = pytest.StashKey[dict[str, str]]()
_session = pytest.StashKey[pytest.Session]()


LONG_FIRST = (
    "tests/workflows", "tests/bridge", "tests/workers", "tests/console", "tests/reconciliation", "tests/properties",
    "tests/conformance", "tests/deploy", "tests/upgrade", "tests/gateway", "tests/adapters", "tests/orders",
)  # fmt: skip
"""The folders whose files take long. A file stays in one process: begun last, it would run when all else is done."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        folders = [number for number, folder in enumerate(LONG_FIRST) if item.nodeid.startswith(f"{folder}/")]
        return folders[0] if folders else len(LONG_FIRST)

    items.sort(key=place)


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """PostgreSQL; `create_database()` gives the URL of a fresh database."""
    yield from _part(request, "PostgreSQL", lambda: Postgres(os.environ.get("TOPUP_TEST_POSTGRES_URL") or None))


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[Kafka]:
    """Apache Kafka; `create_topic(name, partitions)`: give each test topics and groups of its own."""
    yield from _part(request, "Apache Kafka", lambda: Kafka(os.environ.get("TOPUP_TEST_KAFKA") or None))


@pytest.fixture(scope="session")
def mosquitto(request: pytest.FixtureRequest) -> Iterator[Mosquitto]:
    """An MQTT broker; `host`, `port`, `url`. Give each test topics and client IDs of its own."""
    yield from _part(request, "mosquitto", lambda: Mosquitto(os.environ.get("TOPUP_TEST_MQTT_URL") or None))


@pytest.fixture(scope="session")
def temporal_server(request: pytest.FixtureRequest) -> Iterator[Temporal]:
    """Temporal with its state on disk; `address`, `namespace`. Give each test a task queue of its own."""
    yield from _part(request, "Temporal", lambda: Temporal(os.environ.get("TOPUP_TEST_TEMPORAL") or None))


@pytest.fixture(scope="session")
async def temporal_client(temporal_server: Temporal) -> Client:
    """A client of `temporal_server`; it reconnects by itself after a restart."""
    return await temporal_server.connect()


@pytest.fixture(scope="session")
def time_skipping_server(request: pytest.FixtureRequest) -> Iterator[Temporal]:
    """A Temporal of its own, in memory, where runs may have clocks of their own."""
    yield from _part(request, "Temporal", lambda: Temporal(in_memory=True, time_skipping=True))


@pytest.fixture(scope="session")
async def time_skipping_env(time_skipping_server: Temporal) -> TimeSkipper:
    """Runs started by its `client` have a clock that stands on real time until `fast_forward(handle, delta)`.

    The skipping is off by default because with it on, the clock jumps whenever a run is idle, also while a test is
    about to send an update (measured: 9 of 15 came 72 h late). What
    `temporalio.testing.WorkflowEnvironment.start_time_skipping_v2` offers more is starting a server, which would
    outlive a killed session.
    """
    return TimeSkipper(await time_skipping_server.connect(), config=TimeSkippingConfig(enabled=False))


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_not_shown] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A test that would kill a part which runs outside is skipped, under CI=true too: there the parts are ours."""
    try:
        yield
    except PartNotOursError as error:
        pytest.skip(str(error))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name the parts that could not be had: a green run without them has not shown what they stand for.

    All parts have ended by now; what still runs below this process is a test's left-over.
    """
    for part, reason in config.stash[_not_shown].items():
        terminalreporter.write_line(f"not shown here: {part} ({reason})", yellow=True, bold=True)
    for process in watchdog.kill_children():
        terminalreporter.write_line(f"left running by a test, and killed: {process}", yellow=True, bold=True)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    session.config.stash[_session] = session


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """End the process without the interpreter's own end, once all is reported.

    Temporal's SDK aborts there now and then after a clean run, or hangs with a call in flight (measured: SIGABRT or
    SIGSEGV 5 of 50, a hang 9 of 10), and a green run would count as red.
    """
    session = config.stash.get(_session, None)
    if session is None:  # ended before it began, as with --help
        return
    watchdog.close()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(session.exitstatus))


def _part(request: pytest.FixtureRequest, name: str, make: Callable[[], PartType]) -> Iterator[PartType]:
    """The started part, closed at the end; a missing one skips its tests here, and fails them under CI=true."""
    try:
        part = make()
    except PartMissingError as error:
        request.config.stash[_not_shown][name] = str(error)
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name}: {error}", pytrace=False)
        pytest.skip(f"{name}: {error}")
    try:
        yield part.start()
    finally:
        part.close()
