"""The whole product and the world around it, started on the pinned cores and ended with the benchmark."""

import base64
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from bench.durable import DurablePostgres, SteadyKafka
from bench.machine import Memory, cpu_seconds, memory, on_cores, strays
from bench.orders import Merchants
from bench.temporal_server import DurableTemporal, TemporalOnPostgres
from devkit.product import product_process, product_settings
from devkit.servers.mosquitto import Mosquitto
from devkit.servers.process import FOREIGN, PartFailedError, Process, free_port, temporary_folder
from devkit.simulation.processes import Simulators

ROOT: Final = Path(__file__).parents[1]
PARTITIONS: Final = 12
TOPIC: Final = "topup.paid-orders"
GROUP: Final = "topup-bridge"
PLATFORMS: Final = ("cars", "legacy")
COMMAND_SECONDS: Final = 120
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


class Environment:
    """A context manager; starts all parts but the worker, which each round starts with settings of its own."""

    def __init__(self, choices: EnvironmentChoices) -> None:
        self.choices = choices
        self.folder = temporary_folder("bench")
        self.platforms = PLATFORMS[: choices.platforms]
        self.parts: dict[str, Process] = {}
        """Running, by the name under which their CPU time is reported."""
        self._http_ports = {name: free_port() for name in ("worker", "bridge")}
        self._base = {name: value for name, value in os.environ.items() if not name.startswith((*FOREIGN, "OTEL_"))}
        self.simulators = Simulators(self.folder, env=self._base)
        self._settings: dict[str, str] = {}
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
    def temporal_address(self) -> str:
        """Where Temporal is."""
        return self._settings["TEMPORAL_ADDRESS"]

    @property
    def bootstrap_servers(self) -> str:
        """Where Kafka is."""
        return self._settings["TOPUP_KAFKA_BOOTSTRAP_SERVERS"]

    @property
    def merchants(self) -> Merchants:
        """Whom the customers pay."""
        return Merchants(self._settings["TOPUP_WECHAT_MCHID"], self._settings["TOPUP_ALIPAY_SELLER_ID"])

    def start_worker(self, settings: Mapping[str, str], module: str = "console") -> None:
        """Start the worker with these settings besides the environment's own."""
        self._product("worker", dict(settings), module)

    def stop_worker(self) -> None:
        """End the worker gracefully."""
        worker = self.parts.pop("worker")
        worker.stop()
        worker.close()

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time of each part so far."""
        return {name: cpu_seconds(part.pid) for name, part in self.parts.items() if part.ours}

    def memory(self) -> dict[str, Memory]:
        """What bridge and worker hold now."""
        return {name: memory(self.parts[name].pid) for name in ("bridge", "worker")}

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
        kafka = self._add("Kafka", SteadyKafka())
        kafka.create_topic(TOPIC, PARTITIONS)
        database = self._database()
        temporal = self._temporal()
        self.simulators.make_keys()
        urls = {name: broker.url for name, broker in zip(self.platforms, brokers, strict=True)}
        for program in self.simulators.one_by_one(urls, *([] if self.choices.books_fsync else ["--no-fsync"])):
            self._add(program.name.replace("-", " "), program)
        self._settings = self._base | product_settings(
            self.simulators,
            folder=self.folder,
            temporal_address=temporal,
            database_url=database,
            pii_key=base64.b64encode(os.urandom(32)).decode(),
            brokers=[{"name": name, "url": url} for name, url in urls.items()],
            TOPUP_KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap_servers,
            TOPUP_KAFKA_TOPIC=TOPIC,
            TOPUP_KAFKA_GROUP=GROUP,
            TOPUP_BRIDGE_MAX_FIRST_PASS=str(self.choices.first_pass),
        )
        self._module("console", "setup", env=self._settings)
        self._product("bridge", {}, "console")

    def _database(self) -> str:
        if self.choices.database == "sqlite":
            return f"sqlite:///{self.folder / 'topup.db'}"
        return self._add("PostgreSQL (book)", DurablePostgres()).create_database()

    def _temporal(self) -> str:
        if self.choices.temporal_address:
            return self.choices.temporal_address
        if self.choices.temporal_programs is None:
            return self._add("Temporal", DurableTemporal()).address
        postgres = self._add("PostgreSQL (Temporal)", DurablePostgres())
        return self._add("Temporal", TemporalOnPostgres(self.choices.temporal_programs, postgres)).address

    def _product(self, name: str, settings: dict[str, str], module: str) -> None:
        self._add(name, product_process(name, self._settings | settings, self._http_ports[name], module=module))

    def _add(self, name: str, part: P) -> P:
        self._ending.callback(part.close)
        with on_cores(self.choices.cores):
            part.start()
        self.parts[name] = part
        return part

    def _module(self, module: str, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        done = subprocess.run(  # noqa: S603 - our own modules
            [sys.executable, "-m", module, *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=dict(env or self._base),
            timeout=COMMAND_SECONDS,
        )
        if done.returncode:
            raise PartFailedError(f"{module} {arguments[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
