"""Each fault of the carrier does what its order says, on the wire and in the book."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.limits import WAIT_SECONDS
from tests.simulators.carrier_client import CarrierClient, body_of, new_order_id
from tests.simulators.processes import SILENT

ENDLESS_SECONDS = 86_400
"""Unscaled: more than an hour in the fixture's simulator, which ends all waiting when it stops."""


async def wait_for_state(carrier: CarrierClient, order_id: str, state: str) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while await carrier.states(order_id) != [state]:  # it happens in another process
            await asyncio.sleep(0.02)


async def test_a_hang_acts_and_never_answers(carrier: CarrierClient):
    body = body_of(new_order_id())
    await carrier.fault(body["externalId"], {"kind": "hang"})
    with pytest.raises(httpx.ReadTimeout):
        await carrier.post(body, timeout=SILENT)
    await wait_for_state(carrier, body["externalId"], "completed")


async def test_a_hang_may_come_without_acting(carrier: CarrierClient):
    body = body_of(new_order_id())
    await carrier.fault(body["externalId"], {"kind": "hang", "act": False})
    with pytest.raises(httpx.ReadTimeout):
        await carrier.post(body, timeout=SILENT)
    assert await carrier.states(body["externalId"]) == []
    assert (await carrier.post(body)).json()["state"] == "completed"


@pytest.mark.parametrize(("act", "states"), [(True, ["completed"]), (False, [])])
async def test_a_5xx_tells_nothing_about_the_effect(carrier: CarrierClient, act, states):
    body = body_of(new_order_id())
    await carrier.fault(body["externalId"], {"kind": "error", "status": 502, "act": act})
    assert (await carrier.post(body)).status_code == 502
    assert await carrier.states(body["externalId"]) == states
    assert (await carrier.post(body)).json()["state"] == "completed"
    assert (await carrier.summary(body["externalId"]))["sold"] == 1


async def test_a_delay_before_acting_hides_the_order_and_one_after_does_not(carrier: CarrierClient):
    """Looked at in a delay that no machine outlasts; that it is over one day, with a short one."""
    for when, sees in (("before", []), ("after", ["completed"])):
        body = body_of(new_order_id())
        await carrier.fault(body["externalId"], {"kind": "delay", "seconds": ENDLESS_SECONDS, "when": when})
        post = asyncio.create_task(carrier.post(body))
        async with asyncio.timeout(WAIT_SECONDS):
            while "post" not in await carrier.kinds(body["externalId"]):  # as above
                await asyncio.sleep(0.02)
        if sees:
            await wait_for_state(carrier, body["externalId"], *sees)
        assert await carrier.states(body["externalId"]) == sees
        assert not post.done()
        post.cancel()

        body = body_of(new_order_id())
        await carrier.fault(body["externalId"], {"kind": "delay", "seconds": 1, "when": when})
        assert (await carrier.post(body)).json()["state"] == "completed"


async def test_faults_of_different_layers_act_together(carrier: CarrierClient):
    """The incident: 40 s, then a failure."""
    body = body_of(new_order_id())
    await carrier.fault(body["externalId"], {"kind": "delay", "seconds": 4}, {"kind": "failed"})
    assert (await carrier.post(body)).json()["state"] == "failed"


async def test_faults_of_one_layer_are_a_sequence(carrier: CarrierClient):
    body = body_of(new_order_id())
    await carrier.fault(
        body["externalId"], {"kind": "error", "status": 503, "act": False, "times": 2}, {"kind": "throttle"}
    )
    statuses = [(await carrier.post(body)).status_code for _ in range(4)]
    assert statuses == [503, 503, 429, 201]


@pytest.mark.parametrize("then", ["completed", "failed", "rejected", "partial"])
async def test_async_is_taken_first_and_ends_later(carrier: CarrierClient, then):
    body = body_of(new_order_id())
    await carrier.fault(body["externalId"], {"kind": "async", "state": "inProgress", "then": then, "after_seconds": 8})
    assert (await carrier.post(body)).json()["state"] == "inProgress"
    await wait_for_state(carrier, body["externalId"], then)
    summary = await carrier.summary(body["externalId"])
    assert summary["sold"] == (then == "completed")
    assert summary["code"] == ("SIM_SUSPENDED" if then == "rejected" else None)


async def test_late_success_fails_first_and_sells_later(carrier: CarrierClient):
    body = body_of(new_order_id())
    await carrier.fault(body["externalId"], {"kind": "late_success", "after_seconds": 6})
    assert (await carrier.post(body)).json()["state"] == "failed"
    await wait_for_state(carrier, body["externalId"], "completed")
    kinds = await carrier.kinds(body["externalId"])
    assert kinds.index("failed") < kinds.index("sold")


async def test_query_lag_blinds_get_but_not_the_dedupe_nor_cancel(carrier: CarrierClient):
    body = body_of(new_order_id())
    await carrier.fault(body["externalId"], {"kind": "query_lag", "seconds": 20})
    order = (await carrier.post(body)).json()
    assert await carrier.states(body["externalId"]) == []
    assert (await carrier.post(body)).json()["id"] == order["id"]
    assert (await carrier.cancel(body["externalId"])).status_code == 409
    await wait_for_state(carrier, body["externalId"], "completed")


async def test_a_blind_cancel_confirms_a_burn_that_did_not_happen(carrier: CarrierClient):
    body = body_of(new_order_id())
    await carrier.fault(body["externalId"], {"kind": "query_lag", "seconds": 10, "cancel_blind": True})
    await carrier.post(body)
    assert (await carrier.cancel(body["externalId"])).json()["state"] == "cancelled"
    await wait_for_state(carrier, body["externalId"], "completed")
    assert "burnt_blind" in await carrier.kinds(body["externalId"])


async def test_429_carries_retry_after_and_does_not_act(carrier: CarrierClient):
    body = body_of(new_order_id())
    await carrier.fault(body["externalId"], {"kind": "throttle", "retry_after_seconds": 7})
    answer = await carrier.post(body)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert await carrier.states(body["externalId"]) == []


@pytest.mark.parametrize("shape", ["not_json", "no_state", "empty", "wrong_type"])
@pytest.mark.parametrize("target", ["post", "get", "cancel"])
async def test_malformed_is_2xx_without_a_state(carrier: CarrierClient, shape, target):
    body = body_of(new_order_id())
    await carrier.fault(body["externalId"], {"kind": "malformed", "body": shape, "target": target})
    calls: dict[str, Any] = {
        "post": lambda: carrier.post(body),
        "get": lambda: carrier.get(body["externalId"]),
        "cancel": lambda: carrier.cancel(body["externalId"]),
    }
    answer = await calls[target]()
    assert answer.is_success
    try:
        content = answer.json()
    except ValueError:
        return
    orders = content if isinstance(content, list) else [content]
    assert orders
    assert not any(isinstance(order.get("state"), str) for order in orders)


async def test_an_unknown_state_is_shown_while_the_order_goes_its_way(carrier: CarrierClient):
    body = body_of(new_order_id())
    await carrier.fault(body["externalId"], {"kind": "unknown_state", "state": "assessing"})
    assert (await carrier.post(body)).json()["state"] == "assessing"
    assert await carrier.states(body["externalId"]) == ["completed"]


@pytest.mark.parametrize(("act", "states"), [(True, ["completed"]), (False, [])])
async def test_a_reset_comes_in_the_middle_of_the_answer(carrier: CarrierClient, act, states):
    body = body_of(new_order_id())
    await carrier.fault(body["externalId"], {"kind": "reset", "act": act})
    request = carrier.http.build_request("POST", "/tmf-api/productOrderingManagement/v4/productOrder", json=body)
    answer = await carrier.http.send(request, stream=True)
    with pytest.raises(httpx.ReadError):  # a mere end of the stream would be a RemoteProtocolError
        await answer.aread()
    await answer.aclose()
    assert await carrier.states(body["externalId"]) == states


async def test_a_fault_hits_only_its_target_and_as_often_as_told(carrier: CarrierClient):
    body = body_of(new_order_id())
    await carrier.fault(
        body["externalId"],
        {"kind": "error", "target": "get", "times": -1},
        {"kind": "error", "target": "cancel", "status": 504},
    )
    assert (await carrier.cancel(body["externalId"])).status_code == 504
    assert (await carrier.cancel(body["externalId"])).json()["state"] == "cancelled"
    assert [(await carrier.get(body["externalId"])).status_code for _ in range(3)] == [500, 500, 500]
    assert (await carrier.http.delete(f"/faults/{body['externalId']}")).status_code == 200
    assert await carrier.states(body["externalId"]) == ["cancelled"]


async def test_the_default_plan_hits_each_order_without_a_plan_of_its_own(carrier: CarrierClient):
    with_own, first, second = (body_of(new_order_id()) for _ in range(3))
    plans = {"default": {"kind": "error", "status": 503}, with_own["externalId"]: []}
    assert (await carrier.http.put("/faults", json=plans)).status_code == 200
    try:
        assert [(await carrier.post(body)).status_code for body in (with_own, first, second)] == [201, 503, 503]
        assert (await carrier.post(first)).status_code == 200
    finally:
        await carrier.http.delete("/faults/default")


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"kind": "delay", "secnds": 1, "seconds": 2}, "no field `secnds`"),
        ({"kind": "teleport"}, "teleport"),
        ({"kind": "delay"}, "`seconds` of the fault `delay`"),
        ({"kind": "error", "status": 200}, "`status` of the fault `error`"),
        ({"kind": "hang", "times": 0}, "times is 1 or more"),
        ({"kind": "hang", "target": "put"}, "`target` of the fault `hang`"),
        ([{"kind": "hang"}, {"kind": "failed", "target": "get"}], "fault 2"),
        (17, "T0000001"),
    ],
)
async def test_a_plan_that_cannot_be_read_is_422_with_a_sentence_and_changes_nothing(
    carrier: CarrierClient, spec, sentence
):
    await carrier.fault("T0000001", {"kind": "failed"})
    for answer in (
        await carrier.http.put("/faults/T0000001", json=spec),
        await carrier.http.put("/faults", json={"T0000001": spec}),
    ):
        assert answer.status_code == 422
        assert sentence in answer.json()["error"]
    plans = (await carrier.http.get("/faults")).json()
    assert [fault["kind"] for fault in plans["T0000001"]] == ["failed"]
