"""The whole product and the world around it, started on the pinned cores and ended with the benchmark."""

import base64
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from bench.durable import DurablePostgres, SteadyKafka
from bench.machine import Memory, cpu_seconds, memory, on_cores, strays
from bench.orders import Merchants
from bench.temporal_server import DurableTemporal, TemporalOnPostgres
from devkit.servers.mosquitto import Mosquitto
from devkit.servers.process import PartFailedError, Process, Program, free_port, temporary_folder

ROOT: Final = Path(__file__).parents[1]
PARTITIONS: Final = 12
TOPIC: Final = "topup.paid-orders"
GROUP: Final = "topup-bridge"
CARRIER_TOKEN: Final = "carrier-token"  # noqa: S105 - of a simulator on loopback
PLATFORMS: Final = ("cars", "legacy")
COMMAND_SECONDS: Final = 120
CALL_SECONDS: Final = 30.0
P = TypeVar("P", bound=Process)
_FOREIGN: Final = ("TOPUP_", "TEMPORAL_", "PG", "OTEL_")


@dataclass(frozen=True, slots=True, kw_only=True)
class StandChoices:
    """What the stand is made of."""

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


class Answering(Program):
    """A program that is ready once an HTTP question is answered."""

    def __init__(self, name: str, command: Sequence[str], port: int, path: str, env: Mapping[str, str]) -> None:
        super().__init__(name, command, env=env)
        self._url = f"http://127.0.0.1:{port}{path}"

    def ask(self) -> None:
        """Ask it."""
        urllib.request.urlopen(self._url, timeout=2).close()  # noqa: S310 - loopback


class Stand:
    """A context manager; starts all parts but the worker, which each round starts with settings of its own."""

    def __init__(self, choices: StandChoices) -> None:
        self.choices = choices
        self.folder = temporary_folder("bench")
        self.books = self.folder / "books"
        self.platforms = PLATFORMS[: choices.platforms]
        self.parts: dict[str, Process] = {}
        """Running, by the name under which their CPU time is reported."""
        self._ports = {name: free_port() for name in ("carrier", "wechat", "alipay", "vehicle", "worker", "bridge")}
        self._base = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        self._environment: dict[str, str] = {}
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
        return self._environment["TEMPORAL_ADDRESS"]

    @property
    def bootstrap_servers(self) -> str:
        """Where Kafka is."""
        return self._environment["TOPUP_KAFKA_BOOTSTRAP_SERVERS"]

    @property
    def merchants(self) -> Merchants:
        """Whom the customers pay."""
        return Merchants(self._environment["TOPUP_WECHAT_MCHID"], self._environment["TOPUP_ALIPAY_SELLER_ID"])

    def start_worker(self, settings: Mapping[str, str], module: str = "console") -> None:
        """Start the worker with these settings besides the stand's own."""
        self._product("worker", dict(settings), module)

    def stop_worker(self) -> None:
        """End the worker gracefully."""
        worker = self.parts.pop("worker")
        worker.stop()
        worker.close()

    def tell(self, simulator: str, path: str, body: Mapping[str, Any]) -> None:
        """PUT to a simulator's control API."""
        if body:
            request = urllib.request.Request(
                f"http://127.0.0.1:{self._ports[simulator]}{path}", json.dumps(body).encode(), method="PUT"
            )
            urllib.request.urlopen(request, timeout=CALL_SECONDS).close()  # noqa: S310 - loopback

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
        self._module("simulators", "keys", "--out", str(self.folder / "keys"))
        urls = {f"{name}": broker.url for name, broker in zip(self.platforms, brokers, strict=True)}
        self._simulators(urls)
        self._environment = self._settings(temporal, kafka.bootstrap_servers, database, urls)
        self._module("console", "setup", env=self._environment)
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

    def _simulators(self, brokers: Mapping[str, str]) -> None:
        keys = ["--keys", str(self.folder / "keys")]
        of_its_own: dict[str, list[str]] = {
            "carrier": ["--token", CARRIER_TOKEN],
            "wechat": [*keys, "--settle-seconds", "0.2"],
            "alipay": keys,
            "vehicle": [word for name, url in brokers.items() for word in ("--broker", f"{name}={url}")],
        }
        for name, options in of_its_own.items():
            port = self._ports[name]
            book = ["--book", str(self.books / f"{name}.jsonl"), *([] if self.choices.books_fsync else ["--no-fsync"])]
            command = [sys.executable, "-m", "simulators", name, "--port", str(port), *book, *options]
            self._add(f"simulator {name}", Answering(f"simulator-{name}", command, port, "/healthz", self._base))

    def _settings(self, temporal: str, kafka: str, database: str, brokers: Mapping[str, str]) -> dict[str, str]:
        """Contracts §9 for this stand."""
        empty = self.folder / "temporal.toml"  # so that a profile of the caller's own is never read
        empty.touch()
        urls = {name: f"http://127.0.0.1:{port}" for name, port in self._ports.items()}
        return self._base | {
            "TEMPORAL_ADDRESS": temporal,
            "TEMPORAL_NAMESPACE": "default",
            "TEMPORAL_CONFIG_FILE": str(empty),
            "TOPUP_DATABASE_URL": database,
            "TOPUP_PII_KEY": base64.b64encode(os.urandom(32)).decode(),
            "TOPUP_KAFKA_BOOTSTRAP_SERVERS": kafka,
            "TOPUP_KAFKA_TOPIC": TOPIC,
            "TOPUP_KAFKA_GROUP": GROUP,
            "TOPUP_BRIDGE_MAX_FIRST_PASS": str(self.choices.first_pass),
            "TOPUP_CARRIER_URL": urls["carrier"],
            "TOPUP_CARRIER_TOKEN": CARRIER_TOKEN,
            "TOPUP_WECHAT_URL": urls["wechat"],
            "TOPUP_ALIPAY_URL": f"{urls['alipay']}/gateway.do",
            "TOPUP_MQTT_BROKERS": json.dumps([{"name": name, "url": url} for name, url in brokers.items()]),
            **json.loads((self.folder / "keys" / "settings.json").read_text()),
        }

    def _product(self, name: str, settings: dict[str, str], module: str) -> None:
        port = self._ports[name]
        environment = self._environment | {"TOPUP_HTTP_PORT": str(port)} | settings
        command = [sys.executable, "-m", module, name]
        self._add(name, Answering(name, command, port, "/readyz", environment))

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
