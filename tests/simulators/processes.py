"""Starts simulators as the processes they are."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class SimulatorProcess:
    process: subprocess.Popen[str]
    ports: dict[str, int]

    def url(self, simulator: str) -> str:
        return f"http://127.0.0.1:{self.ports[simulator]}"

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """The exit code and how long it took."""
        started_at = time.monotonic()
        self.process.send_signal(number)
        try:
            code = self.process.wait(timeout=20)
        finally:
            self.process.kill()
            if self.process.stdout:
                self.process.stdout.close()
        return code, time.monotonic() - started_at


def start(*arguments: str | Path, announcements: int = 1) -> SimulatorProcess:
    process = subprocess.Popen(
        [sys.executable, "-m", "simulators", *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    ports: dict[str, int] = {}
    assert process.stdout is not None
    for _ in range(announcements):
        line = process.stdout.readline()
        if not line:
            process.stdout.close()
            raise RuntimeError(f"the simulator ended with {process.wait()} before it listened")
        event = json.loads(line)
        assert event["event"] == "listening"
        ports[event["simulator"]] = event["port"]
    return SimulatorProcess(process, ports)
