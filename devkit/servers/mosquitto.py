"""mosquitto, the MQTT broker: the installed one or an unpacked one."""

import os
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from devkit.servers import fetch
from devkit.servers.process import PartMissingError, Process, free_port

NAME = "mosquitto"
QUESTION_TIMEOUT_SECONDS = 2.0
MQTT_PORT = 1883
# MQTT 3.1.1 CONNECT: clean session, keepalive 10 s, empty client ID. Any CONNACK shows a working broker, one that
# refuses for want of a password too.
CONNECT = bytes.fromhex("100c 0004 4d515454 04 02 000a 0000")
CONNACK = 0x20


@dataclass(frozen=True)
class Program:
    """The broker's program, and the libraries it needs beside the machine's own."""

    path: str
    library_path: str | None = None

    def __str__(self) -> str:
        return self.path

    def environment(self) -> Mapping[str, str]:
        """The environment to run it in."""
        return {**os.environ, **({"LD_LIBRARY_PATH": self.library_path} if self.library_path else {})}


def find() -> Program:
    """The broker that is installed or unpacked. Raises PartMissingError."""
    root = fetch.PARTS_FOLDER / NAME
    installed = shutil.which("mosquitto", path=os.pathsep.join([*os.get_exec_path(), "/usr/sbin", "/usr/local/sbin"]))
    for program in (Program(installed or ""), Program(str(root / "usr/sbin/mosquitto"), fetch.library_path(root))):
        if program.path and Path(program.path).exists() and _works(program):
            return program
    raise PartMissingError(
        "mosquitto is not installed; unpack it with `python -m devkit.servers fetch` or set TOPUP_TEST_MQTT_URL"
    )


def get() -> None:
    """Unpack the Debian package."""
    fetch.unpack_debian(NAME, "mosquitto")


class Mosquitto(Process):
    """A broker on a loopback port, open to anybody, or the one at `url` that runs already.

    Sessions, queued messages and retained ones outlive SIGKILL, unless it is not `persistent`. `config` takes further
    lines of mosquitto.conf; with a `listener` among them, the plain one stays.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        config: Sequence[str] = (),
        name: str = "mosquitto",
        port: int | None = None,
        folder: Path | None = None,
        persistent: bool = True,
    ) -> None:
        super().__init__(name, ours=url is None, folder=folder)
        self._config = config
        self._persistent = persistent
        if url is None:
            self._program = find()
            self.host, self.port = "127.0.0.1", port or free_port()
        else:
            parts = urlsplit(url)
            self.host, self.port = parts.hostname or "127.0.0.1", parts.port or MQTT_PORT
        self.url = url or f"mqtt://{self.host}:{self.port}"

    def command(self) -> Sequence[str]:
        return [self._program.path, "-c", str(self.folder / "mosquitto.conf"), "-v"]

    def environment(self) -> Mapping[str, str]:
        return self._program.environment()

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        persistence = [
            "persistence true",
            f"persistence_location {self.folder}/",
            "autosave_on_changes true",
            "autosave_interval 1",
        ]
        lines = [
            *([] if os.geteuid() else ["user root"]),  # as root it would go over to a user who can't read the folder
            *(persistence if self._persistent else ["persistence false"]),
            "max_queued_messages 0",
            "set_tcp_nodelay true",
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            *self._config,
        ]
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def ask(self) -> None:
        with socket.create_connection((self.host, self.port), timeout=QUESTION_TIMEOUT_SECONDS) as connection:
            connection.sendall(CONNECT)
            answer = connection.recv(4)
            if not answer or answer[0] != CONNACK:
                raise ConnectionError(f"answered {answer!r} to CONNECT")


def _works(program: Program) -> bool:
    """Whether the program finds its libraries; asked for help, it names itself and its version."""
    done = subprocess.run(
        [program.path, "-h"], check=False, capture_output=True, text=True, env=dict(program.environment())
    )
    return done.stdout.startswith("mosquitto version")
