"""The local stack's Kafka: embedded, Apache's from unpacked jars, or one that runs already."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from console.exits import CommandFailed, Exit
from devkit.stack import ready
from devkit.stack.choices import APACHE, EMBEDDED, Choices
from devkit.stack.ports import LOOPBACK, Ports
from devkit.stack.programs import apache_kafka
from devkit.stack.supervisor import Part

TOPIC: Final = "topup.paid-orders"
DLQ_TOPIC: Final = "topup.paid-orders.dlq"
PARTITIONS: Final = 4
FORMAT_SECONDS: Final = 60
CLUSTER_ID: Final = "dG9wdXAtbG9jYWwtc3RhY2"


@dataclass(frozen=True, slots=True)
class KafkaPart:
    """The part, if the stack runs one, and its address once that is started."""

    part: Part | None
    bootstrap_servers: Callable[[], str]
    remark: str


def kafka_part(choices: Choices, folder: Path, ports: Ports) -> KafkaPart:
    """The Kafka that was chosen.

    Raises:
        CommandFailed: it can't be had, or the choice can't be understood.
    """
    match choices.kafka:
        case str(kind) if kind == EMBEDDED:
            return _embedded(folder)
        case str(kind) if kind == APACHE:
            return _apache(folder, ports)
        case str(address) if ":" in address:
            return KafkaPart(None, lambda: address, "yours")
        case other:
            raise CommandFailed(
                f"--kafka {other!r} is none of embedded, apache and host:port, for example --kafka 127.0.0.1:9092.",
                code=Exit.WRONG_USAGE,
            )


def _embedded(folder: Path) -> KafkaPart:
    address_file = folder / "kafka.address"
    address_file.unlink(missing_ok=True)
    topics = [word for name in (TOPIC, DLQ_TOPIC) for word in ("--topic", f"{name}={PARTITIONS}")]
    command = [sys.executable, "-m", "devkit.stack.mock_kafka", *topics, "--address-file", str(address_file)]
    part = Part("kafka", command, ready.has_content(address_file))
    return KafkaPart(part, address_file.read_text, "embedded, in memory: what was not read yet is gone with the stack")


def _apache(folder: Path, ports: Ports) -> KafkaPart:
    programs = apache_kafka()
    port, controller_port = ports.take("Kafka", 9092), ports.any()
    data, properties = folder / "kafka", folder / "kafka.properties"
    listeners = f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}"
    one_each = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
    lines = [
        "process.roles=broker,controller",
        "node.id=1",
        "controller.listener.names=CONTROLLER",
        f"listeners={listeners}",
        f"advertised.listeners={listeners}",
        f"controller.quorum.bootstrap.servers={LOOPBACK}:{controller_port}",
        f"log.dirs={data}",
        "default.replication.factor=1",
        "min.insync.replicas=1",
        *(f"{topic}.replication.factor=1" for topic in one_each),
        *(f"{topic}.num.partitions=1" for topic in one_each),
        *(f"{topic}.min.isr=1" for topic in one_each if not topic.startswith("offsets")),
        "group.initial.rebalance.delay.ms=0",
        "auto.create.topics.enable=false",
    ]
    properties.parent.mkdir(parents=True, exist_ok=True)
    properties.write_text("\n".join(lines) + "\n")
    java = [programs.java, "-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-cp", str(programs.jars / "*")]
    if not data.exists():
        _format(java, properties)
    part = Part("kafka", [*java, "kafka.Kafka", str(properties)], ready.accepts(port))
    return KafkaPart(part, lambda: f"{LOOPBACK}:{port}", "Apache Kafka, state in files")


def _format(java: list[str], properties: Path) -> None:
    command = [*java, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(properties), "--standalone"]
    done = subprocess.run(  # noqa: S603 - the command is our own
        command, check=False, capture_output=True, text=True, timeout=FORMAT_SECONDS
    )
    if done.returncode != 0:
        why = " ".join((done.stdout + done.stderr).split())[-400:]
        raise CommandFailed(f"Apache Kafka could not prepare its storage in {properties.parent}: {why}")
