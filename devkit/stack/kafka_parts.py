"""The local stack's Kafka: embedded, Apache's from unpacked jars, or one that runs already."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from console.exits import CommandFailed, Exit
from devkit.servers import ready
from devkit.servers.kafka import Kafka
from devkit.servers.process import Process, Program
from devkit.stack.choices import APACHE, EMBEDDED, Choices
from devkit.stack.ports import Ports

TOPIC: Final = "topup.paid-orders"
DLQ_TOPIC: Final = "topup.paid-orders.dlq"
UNMATCHED_TOPIC: Final = "topup.payments.unmatched"
PARTITIONS: Final = 4


@dataclass(frozen=True, slots=True)
class KafkaPart:
    """The part, if the stack runs one, and its address once that is started."""

    part: Process | None
    bootstrap_servers: Callable[[], str]
    remark: str


def kafka_part(choices: Choices, folder: Path, ports: Ports, environment: Mapping[str, str]) -> KafkaPart:
    """The Kafka that was chosen.

    Raises:
        CommandFailed: the choice can't be understood.
        PartMissingError: it can't be had.
    """
    match choices.kafka:
        case str(kind) if kind == EMBEDDED:
            return _embedded(folder, environment)
        case str(kind) if kind == APACHE:
            return _apache(folder, ports)
        case str(address) if ":" in address:
            return KafkaPart(None, lambda: address, "yours")
        case other:
            raise CommandFailed(
                f"--kafka {other!r} is none of embedded, apache and host:port, for example --kafka 127.0.0.1:9092.",
                code=Exit.WRONG_USAGE,
            )


def _embedded(folder: Path, environment: Mapping[str, str]) -> KafkaPart:
    address_file = folder / "kafka.address"
    address_file.unlink(missing_ok=True)
    topics = [word for name in (TOPIC, DLQ_TOPIC, UNMATCHED_TOPIC) for word in ("--topic", f"{name}={PARTITIONS}")]
    command = [sys.executable, "-m", "devkit.stack.mock_kafka", *topics, "--address-file", str(address_file)]
    part = Program("kafka", command, env=environment, ready=ready.has_content(address_file), folder=folder)
    return KafkaPart(part, address_file.read_text, "embedded, in memory: what was not read yet is gone with the stack")


def _apache(folder: Path, ports: Ports) -> KafkaPart:
    broker = Kafka(port=ports.take("Kafka", 9092), folder=folder / "kafka")
    return KafkaPart(broker, lambda: broker.bootstrap_servers, "Apache Kafka, state in files")
