"""The whole product and the world around it, started on the pinned cores and ended with the benchmark."""

import base64
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from bench.checkouts import ROOT, Checkout, this_checkout
from bench.durable import DurablePostgres, SteadyKafka
from bench.inside.counted import FORMAT
from bench.machine import Memory, cpu_seconds, memory, on_cores, strays
from bench.orders import Merchants
from bench.temporal_server import DurableTemporal, TemporalOnPostgres
from devkit.product import product_settings
from devkit.servers import ready
from devkit.servers.mosquitto import Mosquitto
from devkit.servers.process import FOREIGN, PartFailedError, Process, Program, free_port, temporary_folder
from devkit.simulation.processes import Simulators

INSIDE: Final = ROOT / "bench" / "inside"
PARTITIONS: Final = 12
TOPIC: Final = "topup.paid-orders"
OTHER_TOPICS: Final = ("topup.paid-orders.dlq", "topup.payments.unmatched")
GROUP: Final = "topup-bridge"
NAMESPACE: Final = "default"
EMBEDDED_API_VERSION: Final = "2.3"
BRIDGE_AND_WORKER: Final = ("worker", "bridge")
SERVE: Final = ("serve",)
"""The product's processes, by their commands."""
PLATFORMS: Final = ("cars", "legacy")
CONSOLE: Final = "console"
"""The module of the product's own command."""
COMMAND_SECONDS: Final = 120
START_SECONDS: Final = 240
"""Of a part on a machine that others use too."""
P = TypeVar("P", bound=Process)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentChoices:
    """What the environment is made of."""

    cores: tuple[int, ...]
    platforms: int = 1
    temporal_address: str | None = None
    """A server that runs already: neither pinned nor measured."""
    temporal_programs: Path | None = None
    """Folder of the real server's programs; without it and an address, the development server."""
    database: str = "postgresql"
    books_fsync: bool = False
    first_pass: int = 100
    """The bridge's gate."""
    embedded_kafka: bool = False
    """librdkafka's mock broker instead of Apache Kafka: starts at once, and takes little of a crowded machine."""
    against: tuple[Checkout, ...] = ()
    """Other states of the source that run in turn with this one."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one checkout works: apart from all others on the same servers."""

    checkout: Checkout
    topic: str
    namespace: str
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DatabaseUse:
    """What a PostgreSQL server has done so far. Reads don't count: they take no transaction number."""

    write_transactions: int = 0
    wal_bytes: int = 0


class Environment:
    """A context manager; starts all parts but the product, which each round starts with settings of its own."""

    def __init__(self, choices: EnvironmentChoices) -> None:
        self.choices = choices
        self.folder = temporary_folder("bench")
        self.platforms = PLATFORMS[: choices.platforms]
        self.parts: dict[str, Process] = {}
        """Running, by the name under which their CPU time is reported."""
        self.temporal_address = ""
        self.bootstrap_servers = ""
        self._http_ports: dict[str, int] = {}
        self._base = {name: value for name, value in os.environ.items() if not name.startswith((*FOREIGN, "OTEL_"))}
        self.simulators = Simulators(self.folder, env=self._base)
        self._places: dict[Checkout, Place] = {}
        self._running: tuple[str, ...] = ()
        self._tuned = False
        self._ending = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._ending.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.close()

    @property
    def merchants(self) -> Merchants:
        """Whom the customers pay."""
        settings = self.simulators.settings
        return Merchants(settings["TOPUP_WECHAT_MCHID"], settings["TOPUP_ALIPAY_SELLER_ID"])

    @property
    def checkouts(self) -> tuple[Checkout, ...]:
        """What can run here, this checkout first."""
        return tuple(self._places)

    def place(self, checkout: Checkout) -> Place:
        """Where it works."""
        return self._places[checkout]

    def start_product(
        self, checkout: Checkout, processes: Sequence[str], settings: Mapping[str, str], module: str = CONSOLE
    ) -> None:
        """Start these processes of a checkout, with these settings besides the environment's own.

        `processes` are the product's commands; one that is named again runs again, as "worker 2". `module` is what runs
        a worker.
        """
        place = self._places[checkout]
        self._running = numbered(processes)
        for name, command in zip(self._running, processes, strict=True):
            port = str(self._http_ports.setdefault(name, free_port()))
            env = {
                **place.settings,
                **settings,
                **_runs_from(checkout),
                "BENCH_MODULE": module if command == "worker" else CONSOLE,
                "BENCH_ROUND_TRIPS": str(self._round_trips(name)),
                "TOPUP_HTTP_PORT": port,
            }
            question = ready.answers(f"http://127.0.0.1:{port}/readyz")
            self._add(name, Program(name, [sys.executable, "-m", "counted", command], env=env, ready=question))

    def tune_temporal(self, *, tuned: bool) -> None:
        """Temporal with the deployment settings of docs/performance.md, or without them; started anew where it differs.

        Only where the real server runs; elsewhere there is nothing to set.
        """
        server = self.parts.get("Temporal")
        if not isinstance(server, TemporalOnPostgres) or tuned == self._tuned:
            return
        self._tuned = tuned
        server.go_threads = max(1, len(self.choices.cores) // 2) if tuned else None
        server.slim_visibility(slim=tuned)
        with on_cores(self.choices.cores):
            server.restart()

    def stop_product(self) -> None:
        """End the processes gracefully, first who would start work."""
        for name in sorted(self._running):
            part = self.parts.pop(name)
            part.stop()
            part.close()
        self._running = ()

    def round_trips(self) -> int:
        """What the product's processes have asked the order book so far, since they were started."""
        found = 0
        for name in self._running:
            path = self._round_trips(name)
            if path.exists():
                found += FORMAT.unpack(path.read_bytes())[0]
        return found

    def database_use(self) -> dict[str, DatabaseUse]:
        """By PostgreSQL server."""
        return {name: _use(part) for name, part in self.parts.items() if isinstance(part, DurablePostgres)}

    def _round_trips(self, name: str) -> Path:
        return self.folder / f"{name}.round-trips"

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time of each part so far."""
        return {name: cpu_seconds(part.pid) for name, part in self.parts.items() if part.ours}

    def memory(self) -> dict[str, Memory]:
        """What the product's processes hold now."""
        return {name: memory(self.parts[name].pid) for name in self._running}

    def strays(self) -> list[str]:
        """Threads that may run on other cores than the chosen ones."""
        cores = self.choices.cores
        return [
            f"{name} {thread}" for name, part in self.parts.items() if part.ours for thread in strays(part.pid, cores)
        ]

    def fallen(self) -> str:
        """The sentence about a part that has ended by itself; else empty."""
        for name, part in self.parts.items():
            if part.ours and not part.running:
                return f"{name} has ended. The end of its log:\n{part.log_tail()}"
        return ""

    # --- starting -----------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        brokers = [self._add(f"mosquitto {name}", Mosquitto()) for name in self.platforms]
        checkouts = (this_checkout(), *self.choices.against)
        topics = [TOPIC, *(f"{TOPIC}.{number}" for number in range(1, len(checkouts)))]
        self.bootstrap_servers = self._kafka(topics)
        postgres = None if self.choices.database == "sqlite" else self._add("PostgreSQL (book)", DurablePostgres())
        self.temporal_address = self._temporal()
        self.simulators.make_keys()
        urls = {name: broker.url for name, broker in zip(self.platforms, brokers, strict=True)}
        for program in self.simulators.one_by_one(urls, *([] if self.choices.books_fsync else ["--no-fsync"])):
            self._add(program.name.replace("-", " "), program)
        for number, (checkout, topic) in enumerate(zip(checkouts, topics, strict=True)):
            namespace = f"{NAMESPACE}-{number}" if number else NAMESPACE
            database = postgres.create_database() if postgres else f"sqlite:///{self.folder / f'topup-{number}.db'}"
            settings = self._base | product_settings(
                self.simulators,
                folder=self.folder,
                temporal_address=self.temporal_address,
                database_url=database,
                pii_key=base64.b64encode(os.urandom(32)).decode(),
                brokers=[{"name": name, "url": url} for name, url in urls.items()],
                TEMPORAL_NAMESPACE=namespace,
                TOPUP_KAFKA_BOOTSTRAP_SERVERS=self.bootstrap_servers,
                TOPUP_KAFKA_TOPIC=topic,
                TOPUP_KAFKA_GROUP=GROUP,
                TOPUP_BRIDGE_MAX_FIRST_PASS=str(self.choices.first_pass),
                **({"TOPUP_KAFKA_API_VERSION": EMBEDDED_API_VERSION} if self.choices.embedded_kafka else {}),
            )
            self._places[checkout] = Place(checkout, topic, namespace, settings)
            self._setup(self._places[checkout])

    def _kafka(self, topics: Sequence[str]) -> str:
        if not self.choices.embedded_kafka:
            kafka = self._add("Kafka", SteadyKafka())
            for topic in topics:
                kafka.create_topic(topic, PARTITIONS)
            return kafka.bootstrap_servers
        address = self.folder / "kafka.address"
        words = [word for topic in topics for word in ("--topic", f"{topic}={PARTITIONS}")]
        words += [word for topic in OTHER_TOPICS for word in ("--topic", f"{topic}=1")]
        command = [sys.executable, "-m", "devkit.stack.mock_kafka", *words, "--address-file", str(address)]
        self._add("Kafka", Program("kafka", command, env=self._base, ready=ready.has_content(address)))
        return address.read_text()

    def _temporal(self) -> str:
        if self.choices.temporal_address:
            return self.choices.temporal_address
        if self.choices.temporal_programs is None:
            return self._add("Temporal", DurableTemporal()).address
        postgres = self._add("PostgreSQL (Temporal)", DurablePostgres())
        return self._add("Temporal", TemporalOnPostgres(self.choices.temporal_programs, postgres)).address

    def _add(self, name: str, part: P) -> P:
        part.ready_timeout_seconds = START_SECONDS
        self._ending.callback(part.close)
        with on_cores(self.choices.cores):
            part.start()
        self.parts[name] = part
        return part

    def _setup(self, place: Place) -> None:
        done = subprocess.run(  # noqa: S603 - our own modules
            [sys.executable, "-m", "console", "setup", "--wait", str(START_SECONDS)],
            check=False,
            capture_output=True,
            text=True,
            env={**place.settings, **_runs_from(place.checkout)},
            timeout=START_SECONDS + COMMAND_SECONDS,
        )
        if done.returncode:
            raise PartFailedError(
                f"{place.checkout.name}: setup ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )


def numbered(commands: Sequence[str]) -> tuple[str, ...]:
    """A name for each: the command, and from the second of its kind on a number."""
    counts = Counter[str]()
    names: list[str] = []
    for command in commands:
        counts[command] += 1
        names.append(command if counts[command] == 1 else f"{command} {counts[command]}")
    return tuple(names)


def _runs_from(checkout: Checkout) -> dict[str, str]:
    """The checkout's modules before all others, and none of the folder that the benchmark was called in."""
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": f"{checkout.root}{os.pathsep}{INSIDE}"}


def _use(postgres: DurablePostgres) -> DatabaseUse:
    rows = postgres.execute(
        "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint, "
        "pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
    )
    return DatabaseUse(*rows[0])
