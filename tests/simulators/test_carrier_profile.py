"""Each sentence of contracts §4 about the carrier, one test."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.simulators.carrier_client import BASE, CarrierClient, body_of, new_order_id

UNTIL_THE_DATE = (2, 8, 32)
"""Where a date must be in the future when the order arrives: soon, and later where this machine is slow."""


async def test_a_post_is_answered_201_with_id_external_id_state_and_order_date(carrier: CarrierClient):
    order_id = new_order_id()
    answer = await carrier.post(body_of(order_id))
    assert answer.status_code == 201
    order = answer.json()
    assert order["externalId"] == order_id
    assert order["state"] == "completed"
    assert order["id"]
    assert datetime.fromisoformat(order["orderDate"]).tzinfo


async def test_msisdn_is_a_characteristic_that_may_come_along(carrier: CarrierClient):
    body = body_of(new_order_id())
    characteristics = body["productOrderItem"][0]["product"]["productCharacteristic"]
    characteristics.append({"name": "msisdn", "value": "14400000001"})
    assert (await carrier.post(body)).json()["state"] == "completed"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body.pop("externalId"),
        lambda body: body.update(externalId="short"),
        lambda body: body.update(externalId="with space in it"),
        lambda body: body.update(externalId=1234567),
        lambda body: body.update(category="phone"),
        lambda body: body.pop("requestedCompletionDate"),
        lambda body: body.update(requestedCompletionDate="2023-08-21T10:39:06"),
        lambda body: body.update(requestedCompletionDate="soon"),
        lambda body: body.update(productOrderItem=[]),
        lambda body: body["productOrderItem"][0].update(quantity=2),
        lambda body: body["productOrderItem"][0]["product"].update(productCharacteristic=[]),
    ],
)
async def test_a_body_outside_the_profile_is_400_and_orders_nothing(carrier: CarrierClient, spoil):
    order_id = new_order_id()
    body = body_of(order_id)
    spoil(body)
    assert (await carrier.post(body)).status_code == 400
    assert (await carrier.get(order_id)).json() == []


async def test_a_body_that_is_not_json_is_400(carrier: CarrierClient):
    assert (await carrier.post(b'{"externalId": NaN}')).status_code == 400


async def test_the_same_body_again_returns_the_original_order_and_sells_once(carrier: CarrierClient):
    body = body_of(new_order_id())
    first, second = await carrier.post(body), await carrier.post(body)
    assert second.status_code in (200, 201)
    assert second.json() == first.json()
    assert (await carrier.summary(body["externalId"]))["sold"] == 1


async def test_many_posts_at_once_sell_once(carrier: CarrierClient):
    body = body_of(new_order_id())
    answers = await asyncio.gather(*(carrier.post(body) for _ in range(20)))
    assert len({answer.json()["id"] for answer in answers}) == 1
    summary = await carrier.summary(body["externalId"])
    assert (summary["posts"], summary["sold"], summary["distinct_bodies"]) == (20, 1, 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.update(requestedCompletionDate=(datetime.now(UTC) + timedelta(hours=1)).isoformat()),
        lambda body: body["productOrderItem"][0].update(id="2"),
        lambda body: body["productOrderItem"][0]["productOffering"].update(id="CT-DATA-1GB-30D"),
        lambda body: body.update(description="something new"),
    ],
)
async def test_another_body_with_the_same_external_id_is_409_and_changes_nothing(carrier: CarrierClient, change):
    body = body_of(new_order_id())
    first = await carrier.post(body)
    changed = json.loads(json.dumps(body))
    change(changed)
    assert (await carrier.post(changed)).status_code == 409
    assert (await carrier.post(body)).json() == first.json()
    summary = await carrier.summary(body["externalId"])
    assert (summary["sold"], summary["distinct_bodies"]) == (1, 2)


async def test_white_space_and_member_order_are_no_other_body_but_the_book_counts_the_bytes(carrier: CarrierClient):
    body = body_of(new_order_id())
    await carrier.post(json.dumps(body).encode())
    again = await carrier.post(json.dumps(body, indent=1, sort_keys=True).encode())
    assert again.status_code == 200
    assert (await carrier.summary(body["externalId"]))["distinct_bodies"] == 2


async def test_a_date_that_has_passed_on_first_sight_is_rejected_for_ever(carrier: CarrierClient):
    body = body_of(new_order_id(), in_seconds=-0.5)
    for _ in range(2):
        order = (await carrier.post(body)).json()
        assert order["state"] == "rejected"
        assert order["rejectionReason"] == {"code": "COMPLETION_DATE_PASSED"}
    assert (await carrier.summary(body["externalId"]))["sold"] == 0


async def test_the_date_is_not_checked_again_for_a_body_seen_before(carrier: CarrierClient):
    for seconds in UNTIL_THE_DATE:
        body = body_of(new_order_id(), in_seconds=seconds)
        if (await carrier.post(body)).json()["state"] == "completed":
            break
    await asyncio.sleep(seconds + 0.1)
    assert (await carrier.post(body)).json()["state"] == "completed"


async def test_the_date_counts_on_arrival_not_when_a_slow_carrier_acts(carrier: CarrierClient):
    states: list[str] = []
    for seconds in UNTIL_THE_DATE:
        body = body_of(new_order_id(), in_seconds=seconds)
        await carrier.fault(body["externalId"], {"kind": "delay", "seconds": (seconds + 0.5) / 0.05})
        states.append((await carrier.post(body)).json()["state"])
        if states[-1] == "completed":
            break
    assert states[-1] == "completed"


async def test_fractions_of_a_second_are_allowed_in_the_date(carrier: CarrierClient):
    body = body_of(new_order_id())
    body["requestedCompletionDate"] = "2999-01-01T00:00:00.123456789Z"
    assert (await carrier.post(body)).json()["state"] == "completed"


async def test_get_by_external_id_is_an_array_of_none_or_one(carrier: CarrierClient):
    body = body_of(new_order_id())
    before = await carrier.get(body["externalId"])
    assert (before.status_code, before.json()) == (200, [])
    order = (await carrier.post(body)).json()
    after = (await carrier.get(body["externalId"])).json()
    assert [one["id"] for one in after] == [order["id"]]
    assert after[0]["state"] == "completed"


async def test_get_by_id_shows_the_order_and_404_for_none(carrier: CarrierClient):
    order = (await carrier.post(body_of(new_order_id()))).json()
    assert (await carrier.http.get(f"{BASE}/productOrder/{order['id']}")).json()["externalId"] == order["externalId"]
    assert (await carrier.http.get(f"{BASE}/productOrder/nobody")).status_code == 404


async def test_get_without_external_id_is_400(carrier: CarrierClient):
    assert (await carrier.http.get(f"{BASE}/productOrder")).status_code == 400


async def test_cancel_burns_a_serial_never_seen_for_ever(carrier: CarrierClient):
    order_id = new_order_id()
    burnt = await carrier.cancel(order_id)
    assert burnt.status_code in (200, 201)
    assert burnt.json()["state"] == "cancelled"
    assert burnt.json()["externalId"] == order_id
    for package in ("CT-DATA-10GB-30D", "CT-DATA-1GB-30D"):
        order = (await carrier.post(body_of(order_id, package=package))).json()
        assert order["state"] == "rejected"
        assert order["rejectionReason"]["code"] == "CANCELLED"
    assert await carrier.states(order_id) == ["cancelled"]
    assert (await carrier.cancel(order_id)).json() == burnt.json()
    assert (await carrier.summary(order_id))["sold"] == 0


@pytest.mark.parametrize(("fault", "state"), [({"kind": "refuse"}, "rejected"), ({"kind": "failed"}, "failed")])
async def test_cancel_of_a_refused_order_is_200_with_that_state(carrier: CarrierClient, fault, state):
    body = body_of(new_order_id())
    await carrier.fault(body["externalId"], fault)
    assert (await carrier.post(body)).json()["state"] == state
    answer = await carrier.cancel(body["externalId"])
    assert (answer.status_code, answer.json()["state"]) == (200, state)
    assert await carrier.states(body["externalId"]) == [state]


async def test_cancel_of_a_completed_order_is_409_and_changes_nothing(carrier: CarrierClient):
    body = body_of(new_order_id())
    await carrier.post(body)
    answer = await carrier.cancel(body["externalId"])
    assert (answer.status_code, answer.json()["code"]) == (409, "ORDER_COMPLETED")
    assert await carrier.states(body["externalId"]) == ["completed"]


@pytest.mark.parametrize("state", ["acknowledged", "inProgress", "pending", "held"])
async def test_cancel_in_flight_is_409_and_changes_nothing(carrier: CarrierClient, state):
    body = body_of(new_order_id())
    await carrier.fault(body["externalId"], {"kind": "async", "state": state, "then": "never"})
    assert (await carrier.post(body)).json()["state"] == state
    answer = await carrier.cancel(body["externalId"])
    assert (answer.status_code, answer.json()["code"]) == (409, "ORDER_IN_FLIGHT")
    assert await carrier.states(body["externalId"]) == [state]


async def test_a_business_refusal_has_note_and_rejection_reason(carrier: CarrierClient):
    body = body_of(new_order_id())
    fault = {"kind": "refuse", "code": "REAL_NAME_REQUIRED", "text": "the card's holder is unknown"}
    await carrier.fault(body["externalId"], fault)
    order = (await carrier.post(body)).json()
    assert order["state"] == "rejected"
    assert order["note"] == [{"text": "the card's holder is unknown"}]
    assert order["rejectionReason"] == {"code": "REAL_NAME_REQUIRED"}


@pytest.mark.parametrize("token", ["wrong", "carrier-token2", "carrier-toke"])
async def test_a_wrong_bearer_token_is_401_and_does_nothing(carrier: CarrierClient, token):
    order_id = new_order_id()
    stranger = CarrierClient(str(carrier.http.base_url), token)
    assert (await stranger.post(body_of(order_id))).status_code == 401
    assert (await stranger.get(order_id)).status_code == 401
    assert (await stranger.cancel(order_id)).status_code == 401
    await stranger.http.aclose()
    assert await carrier.states(order_id) == []


async def test_no_token_at_all_is_401(carrier: CarrierClient):
    async with httpx.AsyncClient(base_url=carrier.http.base_url) as stranger:
        assert (await stranger.get(f"{BASE}/productOrder", params={"externalId": "T000001"})).status_code == 401


async def test_the_book_has_no_vehicle_data(carrier: CarrierClient):
    body = body_of(new_order_id())
    await carrier.post(body)
    text = (await carrier.http.get("/book")).text
    assert body["externalId"] in text
    assert "89860321247550000015" not in text
