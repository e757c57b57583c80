"""The local stack's MQTT platforms: the new one, and in the demonstration an old one that hangs and comes back."""

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from console.exits import CommandFailed, Exit
from devkit.servers import mosquitto, ready
from devkit.servers.mosquitto import Mosquitto
from devkit.servers.process import PartMissingError, Process, Program, free_port
from devkit.stack.choices import AUTOMATIC, EMBEDDED, Choices
from devkit.stack.ports import LOOPBACK, Ports

CARS: Final = "cars"
LEGACY: Final = "legacy"


class MqttParts:
    """Brokers, addresses and versions, as `choices.mqtt` says.

    The legacy platform's cars stay connected to its broker behind the port where at first a hung one listens, and
    later a TCP proxy to the broker: what comes back has its cars.

    Raises:
        CommandFailed: no broker can be had, or the choice can't be understood.
    """

    def __init__(self, choices: Choices, folder: Path, ports: Ports, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._given = "" if choices.mqtt in (AUTOMATIC, EMBEDDED) else _checked(choices.mqtt)
        self._mosquitto = choices.mqtt == AUTOMATIC and _has_mosquitto()
        if not self._mosquitto and not (self._given and not choices.legacy_platform):
            _require_embedded()
        self._legacy = choices.legacy_platform
        self._cars_port = 0 if self._given else ports.take("the MQTT platform cars", 1883)
        self._legacy_port = ports.take("the MQTT platform legacy", 1884) if self._legacy else 0
        self._behind_port = free_port() if self._legacy else 0

    @property
    def _kind(self) -> str:
        return "mosquitto" if self._mosquitto else "embedded, MQTT 3.1.1"

    @property
    def _version(self) -> str:
        return "5" if self._mosquitto else "3.1.1"  # amqtt knows no other

    @property
    def _cars_url(self) -> str:
        return self._given or f"mqtt://{LOOPBACK}:{self._cars_port}"

    @property
    def for_product(self) -> list[dict[str, str]]:
        """`TOPUP_MQTT_BROKERS`."""
        platforms = [{"name": CARS, "url": self._cars_url, "version": "5" if self._given else self._version}]
        if self._legacy:
            url = f"mqtt://{LOOPBACK}:{self._legacy_port}"
            platforms.append({"name": LEGACY, "url": url, "version": self._version})
        return platforms

    @property
    def for_vehicles(self) -> dict[str, str]:
        """The vehicle simulator's brokers by name, `url?version=…`."""
        version = "5" if self._given else self._version
        brokers = {CARS: f"{self._cars_url}?version={version}"}
        if self._legacy:
            brokers[LEGACY] = f"mqtt://{LOOPBACK}:{self._behind_port}?version={self._version}"
        return brokers

    @property
    def addresses(self) -> list[tuple[str, str, str]]:
        """Name, address and a remark of each platform."""
        found = [(CARS, self._cars_url, "yours" if self._given else self._kind)]
        if self._legacy:
            found.append((LEGACY, f"mqtt://{LOOPBACK}:{self._legacy_port}", "hangs at first"))
        return found

    @property
    def brokers(self) -> list[Process]:
        """What must run for cars to listen."""
        ports = ([] if self._given else [self._cars_port]) + ([self._behind_port] if self._legacy else [])
        if self._mosquitto:
            return [self._mosquitto_on(port) for port in ports]
        if not ports:
            return []
        words = [word for port in ports for word in ("--port", str(port))]
        command = [sys.executable, "-m", "devkit.stack.embedded_mqtt", *words]
        return [self._program("mqtt", command, *ports)]

    @property
    def hung(self) -> Process:
        """The legacy platform as it hangs: takes connections, answers nothing."""
        command = [sys.executable, "-m", "simulators", "hung-broker", "--port", str(self._legacy_port)]
        return self._program("hung-broker", command, self._legacy_port)

    @property
    def proxy(self) -> Process:
        """The legacy platform as it is back: the way to the broker that its cars are at."""
        ports = ("--port", str(self._legacy_port), "--to", str(self._behind_port))
        command = [sys.executable, "-m", "devkit.stack.tcp_proxy", *ports]
        return self._program("legacy-platform", command, self._legacy_port)

    def _mosquitto_on(self, port: int) -> Mosquitto:
        name = "mqtt" if port == self._cars_port else "mqtt-legacy"
        return Mosquitto(name=name, port=port, folder=self._folder / name, persistent=False)

    def _program(self, name: str, command: list[str], *ports: int) -> Program:
        question = ready.all_of(*(ready.accepts(port) for port in ports))
        return Program(name, command, env=self._environment, ready=question, folder=self._folder)


def _has_mosquitto() -> bool:
    try:
        mosquitto.find()
    except PartMissingError:
        return False
    return True


def _require_embedded() -> None:
    if importlib.util.find_spec("amqtt") is None:
        raise PartMissingError("There is no MQTT broker: install mosquitto, or the extra `local` (amqtt).")


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        raise CommandFailed(
            f"--mqtt {url!r} is none of auto, embedded and an address, for example --mqtt mqtt://127.0.0.1:1883.",
            code=Exit.WRONG_USAGE,
        )
    return url
