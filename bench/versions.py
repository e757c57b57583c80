"""Which versions were measured."""

import os
import re
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

from bench.environment import EnvironmentChoices
from devkit.servers import kafka, mosquitto, postgres, temporal

PACKAGES: Final = ("temporalio", "kafka-python", "sqlalchemy", "asyncpg", "httpx", "paho-mqtt", "pydantic")


def versions(choices: EnvironmentChoices) -> dict[str, str]:
    """By part. Raises PartMissingError where a part is not there."""
    broker = mosquitto.find()
    found = {
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "Temporal": _temporal(choices),
        "order book": _database(choices),
        "Kafka": f"Apache Kafka {kafka.VERSION}, KRaft, one node ({kafka.find().java})",
        "MQTT": f"{_first_line([broker.path, '-h'], broker.environment())}, {choices.platforms} platform(s), QoS 1",
        "simulators' books": "fsync before each answer" if choices.books_fsync else "written, not fsynced",
    }
    if not choices.temporal_address and choices.temporal_programs:
        found["Temporal"] += f", on a {_postgres()} of its own, fsync on"
    return found


def _temporal(choices: EnvironmentChoices) -> str:
    if choices.temporal_address:
        return f"a running server at {choices.temporal_address}: not pinned, not measured"
    if choices.temporal_programs:
        return f"server {_first_line([str(choices.temporal_programs / 'server'), '--version'])}"
    return f"{_first_line([temporal.find(), '--version'])}; development server, SQLite file, WAL, synchronous FULL"


def _database(choices: EnvironmentChoices) -> str:
    if choices.database == "sqlite":
        return "SQLite, WAL, synchronous FULL"
    return f"{_postgres()}, fsync on, full_page_writes on, synchronous_commit on"


def _postgres() -> str:
    programs = postgres.find()
    return re.sub(r"postgres \((\w+)\) ", r"\1 ", _first_line([str(programs.folder / "postgres"), "--version"]))


def _first_line(command: list[str], env: Mapping[str, str] = os.environ) -> str:
    done = subprocess.run(  # noqa: S603 - programs of the parts
        command, check=False, capture_output=True, text=True, timeout=20, env=dict(env)
    )
    return (done.stdout + done.stderr).strip().partition("\n")[0]
