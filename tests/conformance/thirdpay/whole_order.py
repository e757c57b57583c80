"""One order paid at Thirdpay and refused by the carrier, taken to its refund by the worker's own composition.

`python -m tests.conformance.thirdpay.whole_order MERCHANT TRANSACTION_ID`, with a worker's environment. A process of
its own, in which the two edits outside the folder are made that adding a provider takes: its word, and its line.
"""

# ruff: noqa: PLC0415, T201 - imports come after the two edits; the outcome is told on standard output

import asyncio
import importlib.util
import os
import sys

WORDS = "Provider = Literal["


def add_the_word() -> None:
    """`orders.paid_order` with one word more, before anything else has read it."""
    found = importlib.util.find_spec("orders.paid_order")
    assert found is not None
    assert found.loader is not None
    source = found.loader.get_source("orders.paid_order")  # type: ignore[attr-defined] - a source file's loader
    assert source.count(WORDS) == 1
    module = importlib.util.module_from_spec(found)
    sys.modules["orders.paid_order"] = module
    exec(compile(source.replace(WORDS, WORDS + '"thirdpay", '), found.origin or "", "exec"), module.__dict__)


def add_the_line() -> None:
    """The registry's."""
    from adapters.payments.registry import PROVIDERS, ProviderPackage
    from tests.conformance.thirdpay.settings import ThirdpayNotifications, ThirdpayRefunds

    PROVIDERS["thirdpay"] = ProviderPackage(ThirdpayRefunds, ThirdpayNotifications)


async def settle(merchant_id: str, transaction_id: str) -> str:
    """Run a worker until the order has its end, and tell it."""
    from adapters.order_book.book import OrderBook
    from adapters.order_book.field_cipher import FieldCipher
    from bridge.starter import Starter
    from configuration.processes import WorkerSettings
    from orders.paid_order import PaidOrder
    from runtime.clock import SystemClock
    from runtime.health import Health
    from runtime.metrics import Metrics
    from runtime.process import ProcessContext
    from runtime.settings import load
    from runtime.temporal import connect
    from workers.process import work

    settings = load(os.environ, WorkerSettings)
    assert settings.payments.keys() == {"thirdpay"}
    order_id = f"T{transaction_id}"
    order = PaidOrder.model_validate(
        {
            "schema": "topup.paid-order/1",
            "order_id": order_id,
            "vehicle": {"vin": "LSGBC5342AG000001", "iccid": "89860321247550000015"},
            "package_id": "CT-DATA-10GB-30D",
            "amount_fen": 9901,
            "currency": "CNY",
            "payment": {
                "provider": "thirdpay",
                "merchant_id": merchant_id,
                "out_trade_no": order_id,
                "transaction_id": transaction_id,
                "paid_at": "2023-08-21T18:33:55+08:00",
            },
        }
    )
    cipher = FieldCipher(*settings.pii_keys)
    book = OrderBook.open(settings.database_url, cipher, SystemClock())
    await book.migrate()
    await book.claim([order])
    client = await connect(settings)
    starter = Starter(client, settings.task_queue, cipher.vehicle_hash, time_scale=settings.time_scale)
    assert await starter.start(order)
    context = ProcessContext(settings, asyncio.Event(), Health(), Metrics())
    working = asyncio.create_task(work(context))
    while (outcome := (await book.read(order_id)).state.outcome) is None:
        assert not working.done(), working.result()
        await asyncio.sleep(0.1)
    context.stop.set()
    await working
    await book.close()
    return outcome


if __name__ == "__main__":
    add_the_word()
    add_the_line()
    print(asyncio.run(settle(*sys.argv[1:])), flush=True)
    os._exit(0)
