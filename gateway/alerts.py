"""What of the callbacks a person should see: a log line with `"alert": true`, and a count (contracts §7)."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Final, get_args

from adapters.payments.notifications import GENUINE_AND_REFUSED, NotificationRefused
from orders.paid_order import Provider
from orders.unmatched import UnmatchedReason
from runtime.metrics import Metrics
from runtime.telemetry import get_logger

SAME_UNKNOWN_KEY_SECONDS: Final = 3600.0
"""An unknown key alone may be a probe; the same one again within this is a key that is missing here."""
MAX_UNKNOWN_KEYS: Final = 64
UNPROVEN_IN_A_ROW: Final = 20
"""After so many in a row without a genuine one, the configured keys or the clock may be wrong."""

REASONS: Final = (
    *get_args(UnmatchedReason),
    *sorted(GENUINE_AND_REFUSED),
    "unknown_key",
    "nothing_proven",
    "foreign_refund",
    "bug",
)

_log = get_logger("topup.alerts")


class CallbackAlerts:
    """Calls a person for what is genuine and refused or unmatched, and for keys that no longer fit.

    What anybody can send raises nothing by itself: a stranger could call people at will.
    """

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._count = metrics.counter("topup_callback_alerts_total")
        self._clock = clock
        self._unknown_keys: OrderedDict[tuple[Provider, str], float] = OrderedDict()
        self._unproven: Counter[Provider] = Counter()
        for provider in get_args(Provider):  # from 0, so that the first one is an increase
            for reason in REASONS:
                self._count.labels(provider, reason)

    def __call__(self, provider: Provider, reason: str, sentence: str, **fields: object) -> None:
        """Say what happened, without personal data."""
        self._count.labels(provider, reason).inc()
        _log.error("callback alert", alert=True, provider=provider, reason=reason, sentence=sentence, **fields)

    def proven(self, provider: Provider) -> None:
        """A genuine callback came: the keys fit."""
        self._unproven[provider] = 0

    def refused(self, provider: Provider, refusal: NotificationRefused) -> None:
        """A callback was refused."""
        if refusal.flaw in GENUINE_AND_REFUSED:
            self.proven(provider)
            self(provider, refusal.flaw, str(refusal))
            return
        if refusal.flaw == "unknown_key" and self._came_before(provider, refusal.key_id):
            self(
                provider, "unknown_key", "One unknown key signs again and again: add it to TOPUP_CALLBACK_WECHAT_KEYS."
            )
        if refusal.flaw not in ("signature", "stale", "unknown_key"):
            return
        self._unproven[provider] += 1
        if self._unproven[provider] % UNPROVEN_IN_A_ROW == 0:
            self(
                provider,
                "nothing_proven",
                f"{self._unproven[provider]} callbacks in a row could not be proven: check this machine's clock, the "
                "provider's keys, and who sends them.",
            )

    def _came_before(self, provider: Provider, key_id: str) -> bool:
        """Whether the same unknown key came within the hour; remembers few, for anybody can name one."""
        now = self._clock()
        entry: tuple[Provider, str] = (provider, key_id)
        before = self._unknown_keys.pop(entry, None)
        self._unknown_keys[entry] = now
        if len(self._unknown_keys) > MAX_UNKNOWN_KEYS:
            self._unknown_keys.popitem(last=False)
        return before is not None and now - before <= SAME_UNKNOWN_KEY_SECONDS
