"""Is this process alive, is it ready, and what is wrong: checks by name, as `/readyz` answers them (contracts §8)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypedDict

from runtime.metrics import Metrics
from runtime.redaction import in_one_line, redacted

CHECK_SECONDS: Final = 3.0
"""Limit of one check; a part that doesn't answer in this time doesn't answer."""
EXPORT_EVERY_SECONDS: Final = 15.0
"""As often as Prometheus usually scrapes."""

Check = Callable[[], Awaitable[str | None]]
"""Returns a remark (or None) when all is well; raises, with a sentence, when it isn't."""


class CheckResult(TypedDict):
    """One line of `/readyz`."""

    name: str
    required: bool
    ok: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Report:
    """What `/readyz` answers: 200 when `ready`, else 503."""

    ready: bool
    checks: tuple[CheckResult, ...]


class Health:
    """The checks of one process. Required ones decide on readiness; named ones are only shown.

    A process begins unready (`starting`), is ready once `started` was called and its required checks pass, and unready
    again from `stopping` on, so that no one sends it more.
    """

    def __init__(self) -> None:
        self._checks: dict[str, tuple[bool, Check]] = {}
        self._phase = "The process is starting."
        self._running = False
        self._stopping = False

    def require(self, name: str, check: Check) -> None:
        """Add a part without which the process can't work (Temporal, Kafka, the database)."""
        self._checks[name] = (True, check)

    def name(self, name: str, check: Check) -> None:
        """Add a part that makes no process unready (carrier, providers, MQTT brokers), but is shown."""
        self._checks[name] = (False, check)

    def starting(self, sentence: str) -> None:
        """Say what the start waits for."""
        self._enter(sentence, running=False)

    def started(self) -> None:
        """Say that the process does its work now."""
        self._enter("", running=True)

    def stopping(self) -> None:
        """Say that the process finishes what it has in hand and takes no more."""
        self._enter("The process is stopping.", running=False)
        self._stopping = True

    def _enter(self, phase: str, *, running: bool) -> None:
        if not self._stopping:  # for good, also where a start was still under way
            self._phase, self._running = phase, running

    async def report(self) -> Report:
        """All checks at once, each within `CHECK_SECONDS`."""
        process = CheckResult(name="process", required=True, ok=self._running, sentence=redacted(self._phase))
        parts = await asyncio.gather(*(_run(name, *entry) for name, entry in self._checks.items()))
        checks = (process, *parts)
        return Report(all(check["ok"] for check in checks if check["required"]), checks)


async def _run(name: str, required: bool, check: Check) -> CheckResult:  # noqa: FBT001 - unpacked from its table entry
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            sentence = await check() or ""
    except Exception as error:  # noqa: BLE001 - whatever a part raises, it isn't well
        return CheckResult(name=name, required=required, ok=False, sentence=in_one_line(error))
    return CheckResult(name=name, required=required, ok=True, sentence=redacted(sentence))


async def export_parts(health: Health, metrics: Metrics) -> None:
    """Keep `topup_part_up` as `/readyz` would say it, until cancelled."""
    up = metrics.gauge("topup_part_up")
    while True:
        for check in (await health.report()).checks:
            up.labels(check["name"]).set(check["ok"])
        await asyncio.sleep(EXPORT_EVERY_SECONDS)
