"""The simulators as processes: their ports, keys, books and commands."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from devkit.audit.books import BOOKS
from devkit.servers import ready
from devkit.servers.process import PartFailedError, Program, free_port

CARRIER_TOKEN: Final = "carrier-token"  # noqa: S105 - of a simulator on loopback
BACKEND_TOKEN: Final = "backend-token"  # noqa: S105 - likewise
NAMES: Final = (*BOOKS, "backend")
KEYS_SECONDS: Final = 60.0


class Simulators:
    """Carrier, WeChat Pay, Alipay, cars and order backend on loopback ports; none runs until its program is started.

    Args:
        folder: for keys and books.
        env: the processes' environment; the caller's where none is given.
        ports: by simulator name; free ones where none are given.
    """

    def __init__(
        self, folder: Path, *, env: Mapping[str, str] | None = None, ports: Mapping[str, int] | None = None
    ) -> None:
        self._folder = folder
        self._env = env
        self.ports = ports or {name: free_port() for name in NAMES}

    @property
    def books(self) -> Path:
        """The folder of their books, `NAME.jsonl`."""
        return self._folder / "books"

    @property
    def urls(self) -> dict[str, str]:
        """Control addresses by name; for the carrier and the providers the product's too."""
        return {name: f"http://127.0.0.1:{port}" for name, port in self.ports.items()}

    @property
    def settings(self) -> dict[str, str]:
        """The product's settings for this outside world (contracts §9), once the keys are made."""
        return {
            "TOPUP_CARRIER_URL": self.urls["carrier"],
            "TOPUP_CARRIER_TOKEN": CARRIER_TOKEN,
            "TOPUP_WECHAT_URL": self.urls["wechat"],
            "TOPUP_ALIPAY_URL": f"{self.urls['alipay']}/gateway.do",
            **json.loads((self._keys / "settings.json").read_text()),
        }

    @property
    def _keys(self) -> Path:
        return self._folder / "keys"

    def make_keys(self) -> None:
        """Both sides' keys of the payment providers, made once per folder.

        Raises:
            PartFailedError: they could not be made.
        """
        done = subprocess.run(  # noqa: S603 - our own module, with this interpreter
            [sys.executable, "-m", "simulators", "keys", "--out", str(self._keys)],
            check=False,
            capture_output=True,
            text=True,
            timeout=KEYS_SECONDS,
        )
        if done.returncode:
            raise PartFailedError(f"The simulators' keys could not be made: {(done.stdout + done.stderr).strip()}")

    def all_in_one(self, brokers: Mapping[str, str], *options: str) -> Program:
        """One process for all of them; `brokers`: MQTT platforms by name, at which the cars listen."""
        ports = [word for name, port in self.ports.items() for word in (f"--{name}-port", str(port))]
        words = ["all", *ports, "--keys", str(self._keys), "--book", str(self.books), "--token", CARRIER_TOKEN]
        words += ["--backend-token", BACKEND_TOKEN]
        return self._program("simulators", [*words, *_listening(brokers), *options], *self.urls.values())

    def one_by_one(self, brokers: Mapping[str, str], *options: str) -> list[Program]:
        """A process for each that keeps a book to audit, so that the CPU time of each can be told."""
        keys = ["--keys", str(self._keys)]
        own = {
            "carrier": ["--token", CARRIER_TOKEN],
            "wechat": [*keys, "--settle-seconds", "0.2"],
            "alipay": keys,
            "vehicle": _listening(brokers),
        }
        return [
            self._program(
                f"simulator-{name}",
                [name, "--port", str(port), "--book", str(self.books / f"{name}.jsonl"), *own[name], *options],
                self.urls[name],
            )
            for name, port in self.ports.items()
            if name in own
        ]

    def _program(self, name: str, words: list[str], *urls: str) -> Program:
        question = ready.all_of(*(ready.answers(f"{url}/healthz") for url in urls))
        return Program(name, [sys.executable, "-m", "simulators", *words], env=self._env, ready=question)


def _listening(brokers: Mapping[str, str]) -> list[str]:
    return [word for name, url in brokers.items() for word in ("--broker", f"{name}={url}")]
