"""A payment that reconciliation found takes the way of a callback, if its attachment proves what was bought."""

import json
from dataclasses import replace

import pytest

from gateway.late_payments import LatePayments
from gateway.records import Records
from orders.attachment import Purchase, make_attachment
from orders.errors import Unavailable
from orders.paid_order import Vehicle
from orders.record import parse
from reconciliation.ports import PaymentNow

KEY = bytes(range(32))
ORDER_ID = "T20230821183406000001"
CAR = Vehicle(vin="LSGBC5342AG000001", iccid="89860321247550000015")
ATTACHMENT = make_attachment(KEY, Purchase(CAR, "CT-DATA-10GB-30D"), out_trade_no=ORDER_ID, amount_fen=9900)
PAYMENT = PaymentNow(
    is_paid=True,
    is_refunded=False,
    transaction_id="4200001923202308213518640001",
    out_trade_no=ORDER_ID,
    amount_fen=9900,
    currency="CNY",
    paid_at="2023-08-21T18:33:55+08:00",
    attachment=ATTACHMENT,
)


class Topic:
    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes | None, bytes | None]] = []

    async def send(self, topic, *, key, value, headers=()):
        self.sent.append((topic, key, value))


async def put(payment: PaymentNow, *, never_an_order: bool = False):
    topic = Topic()
    records = Records(topic, topic="orders", unmatched_topic="unmatched", key=None)
    late = LatePayments(records, [KEY], {"wechat": "1900000109"})
    return await late.put("wechat", payment, never_an_order=never_an_order), topic.sent


async def test_a_proven_payment_becomes_the_order_that_its_callback_would_have_made():
    put_as, [(topic, key, value)] = await put(PAYMENT)

    assert (put_as, topic) == ("order", "orders")
    order = parse(key, value)
    assert (order.order_id, order.amount_fen, order.payment.paid_at) == (ORDER_ID, 9900, PAYMENT.paid_at)
    assert order.vehicle == CAR


@pytest.mark.parametrize("payment", [replace(PAYMENT, attachment=None), replace(PAYMENT, amount_fen=1)])
async def test_what_proves_nothing_becomes_unmatched(payment: PaymentNow):
    put_as, [(topic, _, value)] = await put(payment)

    assert (put_as, topic) == ("unmatched", "unmatched")
    assert value is not None
    assert json.loads(value)["transaction_id"] == PAYMENT.transaction_id


@pytest.mark.parametrize("wrong", [{"out_trade_no": "T\ud800"}, {"currency": "\udfff"}, {"attachment": "\ud800~"}])
async def test_half_a_character_is_no_record_and_stops_no_run(wrong: dict[str, str]):
    payment = replace(PAYMENT, attachment=None)
    try:
        put_as, _ = await put(replace(payment, **wrong))
    except Unavailable:
        return  # the payment waits, and the rest of the day goes on
    assert put_as == "unmatched"


async def test_a_second_payment_never_becomes_an_order_whatever_it_carries():
    assert (await put(PAYMENT, never_an_order=True))[0] == "unmatched"
