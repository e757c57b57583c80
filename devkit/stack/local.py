"""The whole product and the world around it on one machine: started in order, ended in order."""

import asyncio
import base64
import secrets
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from configuration.processes import BridgeSettings, SetupSettings
from console import preparation
from console.exits import CommandFailed, Exit
from devkit.product import product_process, product_settings
from devkit.servers.process import FOREIGN, PartMissingError, Process, Program
from devkit.servers.temporal import Temporal
from devkit.simulation.processes import BACKEND_TOKEN, Simulators
from devkit.stack.choices import EMBEDDED, Choices
from devkit.stack.kafka_parts import DLQ_TOPIC, TOPIC, UNMATCHED_TOPIC, KafkaPart, kafka_part
from devkit.stack.mqtt_parts import CARS, LEGACY, MqttParts
from devkit.stack.ports import LOOPBACK, Ports
from devkit.stack.supervisor import Supervisor
from runtime.settings import FILE_SUFFIX, SettingsError, load

SIMULATORS: Final = {"carrier": 9101, "wechat": 9102, "alipay": 9103, "vehicle": 9104, "backend": 9105}
SETUP_SECONDS: Final = 40.0
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Address:
    """One line of the table "what runs where"."""

    what: str
    where: str
    remark: str = ""


def beside(own: Mapping[str, str], asked: Mapping[str, str]) -> tuple[dict[str, str], set[str]]:
    """Those of the settings asked for that a stack with its `own` can take, and the names of those that it can't.

    A setting and its file are one; each process has a port of its own; what is asked as it is anyway is neither.
    """
    fixed = {*own, "TOPUP_HTTP_PORT"}
    taken = {name: value for name, value in asked.items() if name.removesuffix(FILE_SUFFIX) not in fixed}
    return taken, {name for name in asked.keys() - taken.keys() if asked[name] != own.get(name)}


class LocalStack:
    """One stack. `start`, then use `settings` and `urls`, then `close`, always.

    Args:
        choices: what it is made of.
        environ: the caller's environment; settings of the product in it are not passed on (`Choices.asked`).
        tell: called with a sentence about each step.

    Raises:
        CommandFailed: something that the choices need can't be had.
    """

    def __init__(self, choices: Choices, environ: Mapping[str, str], tell: Tell) -> None:
        self.choices = choices
        self.folder = choices.folder.absolute()
        self._tell = tell
        self._ports = Ports(usual=choices.usual_ports)
        self._base = {name: value for name, value in environ.items() if not name.startswith(FOREIGN)}
        # All of it is on loopback, where no proxy of the caller's network leads.
        self._base |= {"PYTHONUNBUFFERED": "1", "NO_PROXY": LOOPBACK, "no_proxy": LOOPBACK}
        self.supervisor = Supervisor(self.folder / "logs")
        self._temporal_port = self._ports.take("Temporal", 7233)
        self._ui_port = self._ports.take("Temporal's Web UI", 8233)
        usual = {"serve": 8081} if choices.one_process else {"worker": 8081, "bridge": 8082}
        usual["gateway"] = 8083
        self._http_ports = {name: self._ports.take(f"the {name}", port) for name, port in usual.items()}
        self._callback_port = self._ports.take("the gateway's callbacks", 8080)
        ports = {name: self._ports.take(f"the {name} simulator", port) for name, port in SIMULATORS.items()}
        self._simulators = Simulators(self.folder, env=self._base, ports=ports)
        try:
            self._mqtt = MqttParts(choices, self.folder, self._ports, self._base)
            self._kafka: KafkaPart = kafka_part(choices, self.folder, self._ports, self._base)
            self._temporal = Temporal(port=self._temporal_port, ui_port=self._ui_port, folder=self.folder)
        except PartMissingError as missing:
            raise CommandFailed(str(missing), code=Exit.WRONG_USAGE) from missing
        self.environment: dict[str, str] = {}
        """The product's settings for this stack, once it is started."""

    @property
    def web_ui(self) -> str:
        """Address of Temporal's Web UI."""
        return f"http://{LOOPBACK}:{self._ui_port}"

    @property
    def urls(self) -> dict[str, str]:
        """Control addresses of the simulators, by name."""
        return self._simulators.urls

    def callback_url(self, provider: str) -> str:
        """Where a provider tells the gateway of payments and refunds."""
        return f"http://{LOOPBACK}:{self._callback_port}/callbacks/{provider}"

    @property
    def platforms(self) -> tuple[str, ...]:
        """The MQTT platforms' names."""
        return (CARS, LEGACY) if self.choices.legacy_platform else (CARS,)

    @property
    def settings(self) -> SetupSettings:
        """The product's settings, as `topup setup` would load them."""
        return load(self.environment, SetupSettings)

    @property
    def bridge_settings(self) -> BridgeSettings:
        """The product's settings, as its bridge would load them."""
        return load(self.environment, BridgeSettings)

    @property
    def addresses(self) -> list[Address]:
        """What runs where, the Web UI first."""
        host, servers = LOOPBACK, self.environment.get("TOPUP_KAFKA_BOOTSTRAP_SERVERS", "")
        return [
            Address("Temporal Web UI", f"{self.web_ui}/namespaces/default/workflows"),
            Address("Temporal", f"{host}:{self._temporal_port}", "state in a file"),
            Address("Kafka", servers, self._kafka.remark),
            *(Address(f"MQTT platform {name}", where, remark) for name, where, remark in self._mqtt.addresses),
            Address("order book", "the given database" if self.choices.database_url else str(self.folder / "topup.db")),
            *(Address(f"{name} simulator", url) for name, url in self.urls.items()),
            Address("payment callbacks", self.callback_url("{wechat,alipay}")),
            *(
                Address(f"{name}: ready, metrics", f"http://{host}:{port}/readyz", f"http://{host}:{port}/metrics")
                for name, port in self._http_ports.items()
            ),
            Address("logs", str(self.supervisor.logs)),
        ]

    async def start(self) -> None:
        """Start everything; returns when an order could be taken.

        Raises:
            PartFailedError: a part did not come up.
            CommandFailed: the stack could not be prepared.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for sentence in self._ports.moved:
            self._tell(sentence)
        self._tell("starting Temporal, Kafka, MQTT and the outside world")
        await asyncio.gather(self._start_world(), self._start_servers())
        self._tell("preparing database, search attributes and topics")
        await self._prepare()
        self._tell("starting gateway, bridge and worker")
        await self.supervisor.start(*(self._product(name) for name in self._http_ports))

    async def topup(self, words: Sequence[str], stdin: str = "") -> tuple[int, str]:
        """Run a `topup` command as a person beside the stack would; its exit code and standard error."""
        command = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "console", *words),
            env=self._base | self.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, said = await command.communicate(stdin.encode())
        finally:
            if command.returncode is None:
                command.kill()
                await command.wait()
        return command.returncode or 0, said.decode(errors="replace")

    async def bring_legacy_back(self) -> None:
        """Let the legacy MQTT platform, which hung so far, answer on the same port."""
        await self.supervisor.stop(self._mqtt.hung.name)
        await self.supervisor.start(self._mqtt.proxy)

    async def restart(self, name: str) -> None:
        """Start one of the product's processes again after it ended by itself."""
        await self.supervisor.start(self._product(name))

    async def close(self) -> None:
        """End everything: first who would start work, then who does it, then who serves it."""
        await self.supervisor.close(("gateway",), ("bridge",), ("worker", "serve"))

    async def _start_servers(self) -> None:
        parts: list[Process] = [self._temporal, *self._mqtt.brokers]
        if self._kafka.part is not None:
            parts.append(self._kafka.part)
        await self.supervisor.start(*parts)

    async def _start_world(self) -> None:
        await asyncio.to_thread(self._simulators.make_keys)
        key = self._secret("attach.key")
        options = ("--no-fsync", "--time-scale", str(self.choices.time_scale), "--attach-key", str(key))
        parts: list[Process] = [self._simulators.all_in_one(self._mqtt.for_vehicles, *options)]
        if self.choices.legacy_platform:
            parts.append(self._mqtt.hung)
        await self.supervisor.start(*parts)

    async def _prepare(self) -> None:
        own = self._product_environment()
        taken, refused = beside(own, self.choices.asked)
        if taken:
            self._tell(f"of your shell's settings the product gets {', '.join(sorted(taken))}")
        if refused:
            self._tell(f"not of your shell, this stack has its own: {', '.join(sorted(refused))}")
        self.environment = own | taken
        self._write_environment()
        try:
            settings = self.settings
        except SettingsError as error:
            raise CommandFailed(*error.faults, code=Exit.WRONG_USAGE) from None
        steps = await preparation.prepare(settings, SETUP_SECONDS)
        failed = [step.says for step in steps if not step.ok]
        if failed:
            raise CommandFailed(*failed)

    def _product(self, name: str) -> Program:
        return product_process(name, self._base | self.environment, self._http_ports[name], folder=self.folder)

    def _product_environment(self) -> dict[str, str]:
        """Contracts §9 for this stack."""
        changes = {"TOPUP_KAFKA_API_VERSION": "2.3"} if self.choices.kafka == EMBEDDED else {}
        if self._kafka.part is not None:
            changes["TOPUP_KAFKA_SECURITY_PROTOCOL"] = "PLAINTEXT"
        return product_settings(
            self._simulators,
            folder=self.folder,
            temporal_address=f"{LOOPBACK}:{self._temporal_port}",
            database_url=self.choices.database_url or f"sqlite:///{self.folder / 'topup.db'}",
            pii_key=self._secret("pii.key").read_text(),
            brokers=self._mqtt.for_product,
            TOPUP_KAFKA_BOOTSTRAP_SERVERS=self._kafka.bootstrap_servers(),
            TOPUP_KAFKA_TOPIC=TOPIC,
            TOPUP_KAFKA_DLQ_TOPIC=DLQ_TOPIC,
            TOPUP_KAFKA_UNMATCHED_TOPIC=UNMATCHED_TOPIC,
            TOPUP_CARRIER_COMPLETION_SECONDS=str(self.choices.completion_seconds),
            TOPUP_TIME_SCALE=str(self.choices.time_scale),
            TOPUP_RECORD_KEY=self._secret("record.key").read_text(),
            TOPUP_ATTACH_KEY=self._secret("attach.key").read_text(),
            TOPUP_ORDER_LOOKUP_URL=f"{self.urls['backend']}/lookup",
            TOPUP_ORDER_LOOKUP_TOKEN=BACKEND_TOKEN,
            TOPUP_CALLBACK_PORT=str(self._callback_port),
            TOPUP_REFUND_NOTIFY_URL=self.callback_url("wechat"),
            **changes,
        )

    def _secret(self, name: str) -> Path:
        """A key of 32 bytes in base64, made once per folder."""
        path = self.folder / name
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(base64.b64encode(secrets.token_bytes(32)).decode())
        return path

    def _write_environment(self) -> None:
        """The settings as a file for a shell, so that `topup orders …` works beside the stack."""
        path = self.folder / "settings.env"
        path.touch(mode=0o600)
        path.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in self.environment.items()))
