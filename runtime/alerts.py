"""What calls a person: each kind defined once, in a table that the documentation is compared with."""

from dataclasses import dataclass
from typing import Final

from prometheus_client import Counter

from runtime.telemetry import get_logger


@dataclass(frozen=True, slots=True)
class Alert:
    """One kind of alert. `runbook`: the section of docs/runbook.md that frees what it is about; "" = `meaning` does."""

    kind: str
    meaning: str
    runbook: str = ""


ALERTS: Final = (
    Alert("order_needs_operator", "an order waits for a person; its sentence says for what", "Look first"),
    Alert("order_had_no_run", "an unsettled order without an open run was taken up again", "Nobody works on it"),
    Alert(
        "order_unreadable",
        "no configured key opens an order's stored values: add its key to `TOPUP_PII_OLD_KEYS` (docs/keys.md)",
    ),
    Alert("carrier_refuses_us", "the carrier answered 401 or 403", "The carrier refuses us"),
    Alert("carrier_contradicts_itself", "the carrier took back its final word on an order", "Contradicted"),
    Alert(
        "carrier_answer_lost",
        "flat dialect: the answer to an order's only POST could not be booked; the alert holds it",
        "The carrier can't be asked",
    ),
    Alert("refund_needs_a_person", "the provider holds or denies a refund", "The provider denies the refund"),
    Alert(
        "notice_refused",
        "an MQTT platform refuses a notice; it is tried again until it is taken",
        "A notice is pending",
    ),
    Alert(
        "notice_pending",
        "an MQTT platform has not taken a notice for 1 h, or closes the connection at it again and again",
        "A notice is pending",
    ),
    Alert(
        "order_not_started",
        "an order has not been claimed or started for 5 min, while others are, or a run that is not its own stands"
        " under its ID; its sentence says why",
        "The bridge waits",
    ),
    Alert("conflict", "a second record with an accepted order ID or payment, and other content", "Dead letters"),
    Alert("poison", "a record that can't become an order, so perhaps a payment without one", "Dead letters"),
    Alert("partition_unreadable", "a record can't be decoded; its partition stands still", "The bridge waits"),
    Alert(
        "records_deleted_unread",
        "Kafka's retention deleted records before they were read: raise it, and find their orders in the provider's"
        " bill",
    ),
    Alert(
        "money_differs",
        "reconciliation found money that left twice, to nobody, or for what was refused",
        "Money differs",
    ),
    Alert("log_truncated", "Kafka's log ends before what was read last; it is read anew, nothing starts twice"),
    Alert("bug", "a record can't be brought on its way and is tried again: report the line"),
)


class Alerts:
    """Calls a person: a log line with `"alert": true`, and a count in `topup_alerts_total{alert=kind}`."""

    def __init__(self, counter: Counter) -> None:
        self._counts = {alert.kind: counter.labels(alert.kind) for alert in ALERTS}
        self._log = get_logger("topup.alerts")

    def __call__(self, kind: str, **fields: object) -> None:
        """Say what happened, without personal data. Raises `KeyError` for a kind that isn't in the table."""
        self._counts[kind].inc()
        self._log.error(kind, alert=True, **fields)
