"""A payment whose callback never came, or was lost: reconciliation has found it in the bill (contracts §10).

It takes the way of a callback from here on, with what the provider says of it now in the place of a notice.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, cast

from adapters.payments.notifications import PaymentNotice
from gateway.intake import Intake
from gateway.records import Records
from orders.errors import Unavailable
from orders.paid_order import Provider
from reconciliation.ports import PaymentNow


class LatePayments:
    """`reconciliation.ports.Intake`, to Kafka.

    Args:
        records: writes them.
        attachment_keys: of the order backend. Only an attachment proves what was bought: nobody is asked.
        merchants: our merchant number at each provider.
    """

    def __init__(self, records: Records, attachment_keys: Sequence[bytes], merchants: dict[str, str]) -> None:
        self._records = records
        self._intake = Intake(attachment_keys, lookup=None)
        self._merchants = merchants

    async def put(self, provider: str, payment: PaymentNow, *, never_an_order: bool) -> Literal["order", "unmatched"]:
        """Write its record; returns once all in-sync replicas have it.

        Raises:
            Unavailable: that isn't known, or a text of the provider's is none.
        """
        notice = PaymentNotice(
            notification_id="",
            provider=cast("Provider", provider),
            merchant_id=self._merchants[provider],
            out_trade_no=payment.out_trade_no,
            transaction_id=payment.transaction_id,
            amount_fen=payment.amount_fen,
            currency=payment.currency,
            paid_at=payment.paid_at,
            attachment=payment.attachment,
        )
        try:
            record = await self._intake.record_of(replace(notice, attachment=None) if never_an_order else notice)
        except UnicodeEncodeError as error:
            raise Unavailable(f"{provider} answers with half of a character: look the payment up there.") from error
        await self._records.store(record)
        return "order" if record.unmatched is None else "unmatched"
