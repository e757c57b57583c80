"""Starts simulators as the processes they are."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.limits import WAIT_SECONDS

SILENT = httpx.Timeout(WAIT_SECONDS, read=0.3)
"""For an answer that never comes: short, and long enough for all that comes before it."""
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class SimulatorProcess:
    process: subprocess.Popen[str]
    ports: dict[str, int]

    def url(self, simulator: str) -> str:
        return f"http://127.0.0.1:{self.ports[simulator]}"

    def read_announcement(self) -> None:
        """Wait for one line that tells a port."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.stdout.close()
            raise RuntimeError(f"the simulator ended with {self.process.wait()} before it listened")
        event = json.loads(line)
        assert event["event"] == "listening"
        self.ports[event["simulator"]] = event["port"]

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """The exit code and how long it took."""
        started_at = time.monotonic()
        self.process.send_signal(number)
        try:
            code = self.process.wait(timeout=WAIT_SECONDS)
        finally:
            self.process.kill()
            if self.process.stdout:
                self.process.stdout.close()
        return code, time.monotonic() - started_at


def start(*arguments: str | Path, announcements: int = 1) -> SimulatorProcess:
    process = subprocess.Popen(
        [sys.executable, "-m", "simulators", *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    started = SimulatorProcess(process, {})
    for _ in range(announcements):
        started.read_announcement()
    return started
