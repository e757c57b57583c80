"""Errors as the operator reads them: one sentence that says what to do next."""


class TopUpError(Exception):
    """Base of the product's own errors; its text is a sentence for an operator, without personal data."""


class NotAcknowledged(TopUpError):
    """An MQTT platform did not acknowledge a notice.

    Attributes:
        retryable: False when the platform refuses it until a person changes something (MQTT reasons 0x87, 0x90, 0x95,
            0x99); it is tried again all the same, and a person is called.
        away_seconds: how long the platform has been known to be away; None where it isn't.
    """

    def __init__(self, sentence: str, *, retryable: bool = True, away_seconds: float | None = None) -> None:
        super().__init__(sentence)
        self.retryable = retryable
        self.away_seconds = away_seconds


class Unavailable(TopUpError):
    """A part of the system (database, Temporal, Kafka) can't be reached now; nothing is known to be lost."""
