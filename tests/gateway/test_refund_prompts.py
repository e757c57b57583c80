"""A refund notice tells the waiting run, and delays nothing where nobody waits or Temporal is away."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio.service import RPCError, RPCStatusCode

from gateway.refund_prompts import RefundPrompts
from orders.identities import is_our_refund, order_ids_of_refund, refund_number
from runtime.metrics import Metrics
from tests.gateway.providers import ORDER_ID, alipay, alipay_form, refund, refund_event, trade, wechat
from tests.gateway.serving import gateway as gateway_process


@pytest.mark.parametrize(
    ("number", "orders"),
    [
        (refund_number(ORDER_ID, 1), (ORDER_ID,)),
        (refund_number(ORDER_ID, 2), (ORDER_ID, f"{ORDER_ID}-2")),
        (refund_number(ORDER_ID, 11), (ORDER_ID, f"{ORDER_ID}-11")),
        ("RT1234-1", ("T1234-1",)),
        (refund_number(f"{ORDER_ID}/3", 2), (f"{ORDER_ID}/3",)),
        ("R" + "x" * 32 + "-2", ("x" * 32,)),
        ("made-by-hand", ()),
        ("R", ()),
        ("R12345", ()),
        ("R with blanks", ()),
        ("", ()),
    ],
)
def test_a_refund_number_names_its_order(number: str, orders: tuple[str, ...]):
    assert order_ids_of_refund(number) == orders


QUEUE = "q"


class FakeTemporal:
    """Notes what is signalled, as workflow, run and name."""

    def __init__(self, runs: set[str], workflow_type: str = "TopUpOrder", task_queue: str = QUEUE) -> None:
        self.runs, self.signals, self.away = runs, list[tuple[str, str | None, str]](), False
        self.described = SimpleNamespace(workflow_type=workflow_type, task_queue=task_queue, run_id="run-1")

    async def connect(self) -> Any:
        if self.away:
            raise ConnectionError("away")
        return self

    def get_workflow_handle(self, workflow_id: str, *, run_id: str | None = None) -> Any:
        temporal = self

        class Handle:
            async def describe(self, **_: object) -> object:
                if workflow_id not in temporal.runs:
                    raise RPCError("no such run", RPCStatusCode.NOT_FOUND, b"")
                return temporal.described

            async def signal(self, name: str, **_: object) -> None:
                temporal.signals.append((workflow_id, run_id, name))

        return Handle()


async def drained(prompts: RefundPrompts) -> None:
    running = asyncio.create_task(prompts.run())
    while prompts._something.is_set() or prompts._waiting:
        await asyncio.sleep(0)
    running.cancel()


def counted(metrics: Metrics, result: str) -> float:
    return metrics._registry.get_sample_value("topup_refund_prompts_total", {"result": result}) or 0


async def test_the_waiting_run_is_told_and_others_are_counted():
    temporal, metrics = FakeTemporal({f"topup/{ORDER_ID}"}), Metrics()
    prompts = RefundPrompts(cast("Any", temporal.connect), QUEUE, metrics)
    prompts.offer((ORDER_ID,))
    prompts.offer((ORDER_ID, f"{ORDER_ID}-2"))
    prompts.offer(("T20230821183406000002",))
    prompts.offer(())
    await drained(prompts)

    assert temporal.signals == [(f"topup/{ORDER_ID}", "run-1", "refund_notice")] * 2
    assert (counted(metrics, "prompted"), counted(metrics, "no_run")) == (2, 2)


@pytest.mark.parametrize(("workflow_type", "task_queue"), [("Other", QUEUE), ("TopUpOrder", "elsewhere")])
async def test_a_foreign_run_under_an_orders_id_is_told_nothing(workflow_type: str, task_queue: str):
    temporal, metrics = FakeTemporal({f"topup/{ORDER_ID}"}, workflow_type, task_queue), Metrics()
    prompts = RefundPrompts(cast("Any", temporal.connect), QUEUE, metrics)
    prompts.offer((ORDER_ID,))
    await drained(prompts)

    assert temporal.signals == []
    assert (counted(metrics, "prompted"), counted(metrics, "no_run")) == (0, 1)


async def test_temporal_that_is_away_is_asked_again_at_the_next_notice():
    temporal, metrics = FakeTemporal({f"topup/{ORDER_ID}"}), Metrics()
    temporal.away = True
    prompts = RefundPrompts(cast("Any", temporal.connect), QUEUE, metrics)
    prompts.offer((ORDER_ID,))
    await drained(prompts)
    temporal.away = False
    prompts.offer((ORDER_ID,))
    await drained(prompts)

    assert (counted(metrics, "unavailable"), counted(metrics, "prompted")) == (1, 1)


@pytest.mark.parametrize("number", [f"R{ORDER_ID}", f"R{ORDER_ID}-2", "by-hand-7", f"R{ORDER_ID}-9999"])
async def test_a_refund_notice_is_acknowledged_and_makes_no_order(number: str):
    async with gateway_process() as gate:
        wechat_answer = await gate.post("wechat", wechat(refund_event(refund(out_refund_no=number))))
        body = alipay_form(trade(gmt_refund="2023-08-21 18:40:00.123", out_biz_no=number))
        alipay_answer = await gate.post("alipay", alipay(body))
        gate.topic.away = True
        away = await gate.post("wechat", wechat(refund_event(refund(out_refund_no=number), "ABNORMAL")))

    assert (wechat_answer.status, alipay_answer.body, away.status) == (204, b"success", 204)
    assert gate.topic.sent == []
    assert (gate.count("wechat", "refund"), gate.count("alipay", "refund")) == (2, 1)
    assert gate.prompts == [order_ids_of_refund(number)] * 3
    assert {reason for _, reason in gate.alerts()} <= {"foreign_refund"}


@pytest.mark.parametrize(
    ("number", "foreign"),
    [
        (f"R{ORDER_ID}", False),
        (f"R{ORDER_ID}-2", False),
        ("made-by-hand", True),
        ("RT20230821183406000009", True),
    ],
)
async def test_a_refund_under_a_number_of_nobody_here_calls_a_person(number: str, foreign: bool):  # noqa: FBT001 - a parameter
    async with gateway_process() as gate:
        answer = await gate.post("wechat", wechat(refund_event(refund(out_refund_no=number))))

    assert answer.status == 204
    assert gate.alerts() == ({("wechat", "foreign_refund"): 1} if foreign else {})


def test_the_refund_of_an_unmatched_payment_is_ours():
    payment = {"provider": "wechat", "out_trade_no": "a*b", "transaction_id": "4200001923202308213518640001"}
    assert is_our_refund("RUa00988adcea7e687d37e158c", **payment)
    assert not is_our_refund("Ra*b", **payment)
