"""How long one order may be overtaken by others before a person hears of it."""

import time

from bridge import policies


class Patience:
    """Of one order that is tried again and again, in vain: tells, once, that this has gone on for too long."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._ended = False

    def ends(self, others_went_on_at: float) -> bool:
        """Whether to call a person now, after one more try in vain.

        Args:
            others_went_on_at: when that which this order tries last went well for another (`time.monotonic`). Where it
                has gone well for none since this order began, the part is away, which has an alert of its own.
        """
        now = time.monotonic()
        if self._since is None:
            self._since = now
        long = now - self._since >= policies.CALL_PERSON_AFTER_SECONDS
        if self._ended or not long or others_went_on_at < self._since:
            return False
        self._ended = True
        return True
