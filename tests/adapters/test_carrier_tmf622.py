"""The TMF622 carrier: only a 2xx body with a state of the map settles anything (contracts §4)."""

import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from activities.ports import Carrier
from adapters.carriers.tmf622.client import Tmf622Carrier
from orders.outcomes import Completed, InDoubt, NotFound, Refused
from orders.paid_order import PaidOrder
from tests.adapters import loopback as tcp
from tests.adapters.answers import Far, raises
from tests.adapters.loopback import PATIENCE_SECONDS, dead_url, loopback

SERIAL = "T20230821183406000001"
TOKEN = "carrier-token"
ICCID = "89860321247550000015"
MSISDN = "14400000001"
DATE = datetime(2023, 8, 21, 10, 39, 6, tzinfo=UTC)

Call = Callable[[Tmf622Carrier], Awaitable[Completed | Refused | InDoubt | NotFound]]


def paid_order(**vehicle: str) -> PaidOrder:
    return PaidOrder.model_validate(
        {
            "schema": "topup.paid-order/1",
            "order_id": SERIAL,
            "vehicle": {"vin": "LSGBC5342AG000001", "iccid": ICCID, **vehicle},
            "package_id": "CT-DATA-10GB-30D",
            "amount_fen": 9900,
            "currency": "CNY",
            "payment": {
                "provider": "wechat",
                "merchant_id": "1900000109",
                "out_trade_no": SERIAL,
                "transaction_id": "4200001923202308213518640001",
                "paid_at": "2023-08-21T18:33:55+08:00",
            },
        }
    )


def carrier_at(http: httpx.AsyncClient, url: str = "https://carrier.example") -> Tmf622Carrier:
    return Tmf622Carrier(http, url=url, token=TOKEN)


BODY = carrier_at(httpx.AsyncClient()).order_body(paid_order(), DATE)


async def submit(carrier: Tmf622Carrier, timeout_seconds: float = PATIENCE_SECONDS) -> Completed | Refused | InDoubt:
    return await carrier.submit(BODY, timeout_seconds=timeout_seconds)


async def query(
    carrier: Tmf622Carrier, timeout_seconds: float = PATIENCE_SECONDS
) -> Completed | Refused | InDoubt | NotFound:
    return await carrier.query(SERIAL, timeout_seconds=timeout_seconds)


async def cancel(carrier: Tmf622Carrier, timeout_seconds: float = PATIENCE_SECONDS) -> Completed | Refused | InDoubt:
    return await carrier.cancel(SERIAL, timeout_seconds=timeout_seconds)


CALLS: dict[str, Call] = {"submit": submit, "query": query, "cancel": cancel}
each_call = pytest.mark.parametrize("name", CALLS)


def order(state: object, **members: object) -> dict[str, Any]:
    return {"id": "PO1", "externalId": SERIAL, "state": state, "orderDate": "2023-08-21T10:34:06Z", **members}


async def says(name: str, answer: httpx.Response) -> Completed | Refused | InDoubt | NotFound:
    """What the adapter makes of one answer; asserts that it asked once."""
    far = Far(answer)
    said = await CALLS[name](carrier_at(far.client()))
    assert len(far.requests) == 1
    return said


async def says_of(name: str, stands: object, status: int = 200) -> Completed | Refused | InDoubt | NotFound:
    """What the adapter makes of an order, wrapped as this call wraps it."""
    return await says(name, httpx.Response(status, json=[stands] if name == "query" else stands))


def doubt(said: object) -> InDoubt:
    assert isinstance(said, InDoubt)
    assert said.why
    return said


def test_the_adapter_is_a_carrier() -> None:
    carrier: Carrier = carrier_at(httpx.AsyncClient())
    assert carrier.name == "tmf622"


# --- what goes out ---------------------------------------------------------------------------------------------


def test_the_body_is_the_contracts_example() -> None:
    assert json.loads(BODY) == {
        "externalId": SERIAL,
        "category": "vehicle-data-topup",
        "requestedCompletionDate": "2023-08-21T10:39:06Z",
        "productOrderItem": [
            {
                "id": "1",
                "action": "add",
                "quantity": 1,
                "productOffering": {"id": "CT-DATA-10GB-30D"},
                "product": {"productCharacteristic": [{"name": "iccid", "value": ICCID}]},
            }
        ],
    }


def test_the_msisdn_goes_along_when_it_is_known() -> None:
    body = json.loads(carrier_at(httpx.AsyncClient()).order_body(paid_order(msisdn=MSISDN), DATE))
    assert body["productOrderItem"][0]["product"]["productCharacteristic"] == [
        {"name": "iccid", "value": ICCID},
        {"name": "msisdn", "value": MSISDN},
    ]


def test_the_body_never_changes() -> None:
    """A stored body and one made anew by a later version must be the same bytes: another one is a 409 for ever."""
    assert BODY == (
        b'{"externalId":"T20230821183406000001","category":"vehicle-data-topup",'
        b'"requestedCompletionDate":"2023-08-21T10:39:06Z","productOrderItem":[{"id":"1","action":"add","quantity":1,'
        b'"productOffering":{"id":"CT-DATA-10GB-30D"},"product":{"productCharacteristic":[{"name":"iccid",'
        b'"value":"89860321247550000015"}]}}]}'
    )


def sent_date(completion_date: datetime) -> str:
    return json.loads(carrier_at(httpx.AsyncClient()).order_body(paid_order(), completion_date))[
        "requestedCompletionDate"
    ]


def instant(text: str) -> Fraction:
    """Seconds of an RFC 3339 time in UTC, exactly, read without our own code."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z", text)
    assert found is not None
    whole = datetime.fromisoformat(found[1] + "+00:00") - datetime(1, 1, 1, tzinfo=UTC)
    return Fraction(whole // timedelta(seconds=1)) + Fraction("0" + (found[2] or ".0"))


@pytest.mark.slow
@given(
    st.datetimes(
        min_value=datetime(1970, 1, 1),  # noqa: DTZ001 - hypothesis wants naive bounds beside `timezones`
        max_value=datetime(9999, 1, 1),  # noqa: DTZ001 - likewise
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=8)), timezone(timedelta(hours=-11, minutes=-30))]),
    )
)
@example(datetime(2023, 12, 31, 23, 59, 59, 999_001, tzinfo=UTC))
def test_the_date_is_never_before_the_instant_and_less_than_a_millisecond_after(moment: datetime) -> None:
    microsecond = timedelta(microseconds=1)
    exact = Fraction((moment - datetime(1, 1, 1, tzinfo=UTC)) // microsecond, 1_000_000)
    assert 0 <= instant(sent_date(moment)) - exact < Fraction(1, 1000)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (DATE, "2023-08-21T10:39:06Z"),
        (DATE + timedelta(microseconds=1), "2023-08-21T10:39:06.001Z"),
        (DATE + timedelta(milliseconds=250), "2023-08-21T10:39:06.250Z"),
        (DATE + timedelta(microseconds=999_999), "2023-08-21T10:39:07Z"),
        (datetime(2023, 8, 21, 18, 39, 6, tzinfo=timezone(timedelta(hours=8))), "2023-08-21T10:39:06Z"),
    ],
)
def test_the_date_is_utc_with_milliseconds_where_needed(moment: datetime, text: str) -> None:
    assert sent_date(moment) == text


def test_a_date_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        sent_date(datetime(2023, 8, 21, 10, 39, 6))  # noqa: DTZ001 - on purpose


async def test_each_call_is_the_profiles_request() -> None:
    far = Far(httpx.Response(500))
    carrier = carrier_at(far.client(), "https://carrier.example/gateway/")
    for call in CALLS.values():
        await call(carrier)
    base = "https://carrier.example/gateway/tmf-api/productOrderingManagement/v4"
    assert [(asked.method, str(asked.url)) for asked in far.requests] == [
        ("POST", f"{base}/productOrder"),
        ("GET", f"{base}/productOrder?externalId={SERIAL}"),
        ("POST", f"{base}/cancelProductOrder"),
    ]
    assert [asked.content for asked in far.requests] == [BODY, b"", b'{"externalId":"%s"}' % SERIAL.encode()]
    for asked in far.requests:
        assert asked.headers["authorization"] == f"Bearer {TOKEN}"
        assert asked.headers["accept-encoding"] == "identity"
    assert [asked.headers.get("content-type") for asked in far.requests] == [
        "application/json",
        None,
        "application/json",
    ]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"externalId": 1}'])
async def test_a_body_of_someone_elses_is_not_sent(body: bytes) -> None:
    far = Far(httpx.Response(500))
    with pytest.raises(ValueError, match="order_body"):
        await carrier_at(far.client()).submit(body, timeout_seconds=PATIENCE_SECONDS)
    assert far.requests == []


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "tök"])
def test_a_token_that_cannot_be_one_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII") as refusal:
        Tmf622Carrier(httpx.AsyncClient(), url="https://carrier.example", token=token)
    assert token == "" or token not in str(refusal.value)


# --- the state map ---------------------------------------------------------------------------------------------


@each_call
@pytest.mark.parametrize("status", [200, 201])
async def test_completed_is_delivered(name: str, status: int) -> None:
    assert await says_of(name, order("completed"), status) == Completed(carrier_order_id="PO1")


@each_call
async def test_cancelled_is_a_confirmed_burn(name: str) -> None:
    said = await says_of(name, order("cancelled", rejectionReason={"code": "OTHER"}))
    assert said == Refused(code="CANCELLED", burnt=True, carrier_order_id="PO1")


@each_call
@pytest.mark.parametrize(
    ("state", "reason", "code"),
    [
        ("rejected", {"code": "SIM_SUSPENDED"}, "SIM_SUSPENDED"),
        ("rejected", {"code": "CANCELLED"}, "CANCELLED"),
        ("rejected", {"code": "COMPLETION_DATE_PASSED"}, "COMPLETION_DATE_PASSED"),
        ("failed", {"code": "NETWORK_2"}, "NETWORK_2"),
        ("rejected", None, "REJECTED"),
        ("rejected", {}, "REJECTED"),
        ("rejected", "SIM_SUSPENDED", "REJECTED"),
        ("rejected", {"code": 7}, "7"),
        ("rejected", {"code": [7]}, "REJECTED"),
        ("rejected", {"code": ""}, "REJECTED"),
        ("rejected", {"code": "sim suspended"}, "REJECTED"),
        ("rejected", {"code": "SIM_SUSPENDED\n"}, "REJECTED"),
        ("rejected", {"code": "X" * 65}, "REJECTED"),
        ("failed", None, "FAILED"),
        ("failed", {"code": "\u0661"}, "FAILED"),
    ],
)
async def test_a_refusal_is_definite_and_never_a_burn(name: str, state: str, reason: object, code: str) -> None:
    said = await says_of(name, order(state, rejectionReason=reason))
    assert isinstance(said, Refused)
    assert (said.code, said.burnt, said.carrier_order_id) == (code, False, "PO1")


async def test_a_refusal_tells_the_carriers_words_without_personal_data() -> None:
    notes = [{"text": f"card {ICCID} is suspended"}, {"text": 7}, "x", {"text": f"call {MSISDN}"}]
    said = await says_of("submit", order("rejected", note=notes, rejectionReason={"code": "sim suspended"}))
    assert isinstance(said, Refused)
    assert said.text == "sim suspended; card [redacted] is suspended; 7; call [redacted]"


@each_call
@pytest.mark.parametrize(
    "state", ["acknowledged", "inProgress", "pending", "held", "assessingCancellation", "pendingCancellation"]
)
async def test_an_order_in_flight_is_doubt(name: str, state: str) -> None:
    said = doubt(await says_of(name, order(state), 201))
    assert (said.cause, said.alert, said.carrier_order_id) == ("in_flight", False, "PO1")
    assert state in said.why


@each_call
async def test_partial_is_for_a_person(name: str) -> None:
    said = doubt(await says_of(name, order("partial")))
    assert said.cause == "partial"


@each_call
@pytest.mark.parametrize("state", ["teleported", "Completed", "COMPLETED", "completed "])
async def test_a_state_that_nobody_knows_is_doubt_about_an_order_that_the_carrier_shows(name: str, state: str) -> None:
    said = doubt(await says_of(name, order(state)))
    assert (said.cause, said.carrier_order_id) == ("unknown_state", "PO1")


@each_call
@pytest.mark.parametrize("number", [None, [7], {}, "a b", "", "x" * 200, 10**200])
async def test_an_order_without_a_number_of_the_carriers_is_not_shown_in_an_unknown_state(
    name: str, number: object
) -> None:
    said = doubt(await says_of(name, order("teleported") | {"id": number}))
    assert (said.cause, said.carrier_order_id) == ("answered", "")


@each_call
@pytest.mark.parametrize("state", ["", " ", None, 1, True, ["completed"], {"is": "completed"}])
async def test_what_is_no_state_is_doubt(name: str, state: object) -> None:
    assert doubt(await says_of(name, order(state))).cause == "answered"


@each_call
async def test_an_order_without_a_state_is_doubt(name: str) -> None:
    assert doubt(await says_of(name, {"id": "PO1", "externalId": SERIAL})).cause == "answered"


@each_call
@pytest.mark.parametrize("other", ["T20230821183406000002", SERIAL.lower(), f"{SERIAL} ", "", None, 1, [SERIAL]])
@pytest.mark.parametrize("state", ["completed", "cancelled", "rejected"])
async def test_an_answer_about_another_order_settles_nothing(name: str, other: object, state: str) -> None:
    assert doubt(await says_of(name, order(state) | {"externalId": other})).cause == "answered"


@each_call
@pytest.mark.parametrize("number", [None, [7], {}, "a b", "", "x" * 200, 10**200])
async def test_an_order_without_a_usable_number_of_the_carriers_still_counts(name: str, number: object) -> None:
    assert await says_of(name, order("completed") | {"id": number}) == Completed(carrier_order_id="")


@each_call
@pytest.mark.parametrize(("number", "text"), [(4711, "4711"), (0, "0"), (47.5, "47.5"), (True, "true")])
@pytest.mark.parametrize("state", ["completed", "partial", "teleported"])
async def test_a_number_of_the_carriers_is_kept_as_its_text_whatever_its_type(
    name: str, number: object, text: str, state: str
) -> None:
    """Dropped, it would leave an order parked that its number in a note can end (contracts §3)."""
    said = await says_of(name, order(state) | {"id": number})
    assert isinstance(said, Completed | InDoubt)
    assert said.carrier_order_id == text
    assert not isinstance(said, InDoubt) or said.cause in ("partial", "unknown_state")


@each_call
@pytest.mark.parametrize("content_type", ["text/html", "application/json;charset=GBK", "nonsense"])
async def test_the_content_type_settles_nothing(name: str, content_type: str) -> None:
    whole = json.dumps([order("completed")] if name == "query" else order("completed"))
    said = await says(name, httpx.Response(200, text=whole, headers={"Content-Type": content_type}))
    assert said == Completed(carrier_order_id="PO1")


# --- what is no outcome ----------------------------------------------------------------------------------------


@each_call
@pytest.mark.parametrize("state", ["completed", "cancelled", "rejected", "failed"])
@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 409, 410, 422, 429, 500, 502, 503, 504])
async def test_no_other_status_is_an_outcome_whatever_its_body_says(name: str, status: int, state: str) -> None:
    said = doubt(await says_of(name, order(state), status))
    assert said.cause == "answered"
    assert said.alert == (status in {401, 403})


async def test_a_refused_token_names_the_setting() -> None:
    assert "TOPUP_CARRIER_TOKEN" in doubt(await says("query", httpx.Response(401))).why


async def test_a_conflict_sends_the_reader_to_the_query() -> None:
    assert "quer" in doubt(await says("cancel", httpx.Response(409))).why


async def test_the_carriers_error_is_told_without_personal_data() -> None:
    error = {"code": "60", "reason": f"unknown card {ICCID}\nVIN LSGBC5342AG000001"}
    why = doubt(await says("submit", httpx.Response(400, json=error))).why
    assert 'HTTP 400: "unknown card [redacted] VIN [redacted]"' in why


@each_call
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"<html>OK</html>",
        b"{",
        b'{"state":"completed"',
        b"\xff\xfe",
        b'"completed"',
        b"[[]]",
        b"[null]",
        b"[" * 100_000,
        b'{"note":' * 100_000,
        b" " * (1024 * 1024 + 1),
    ],
    ids=lambda body: repr(body[:24]),
)
async def test_a_2xx_that_is_no_order_is_doubt(name: str, body: bytes) -> None:
    assert doubt(await says(name, httpx.Response(200, content=body))).cause == "answered"


@each_call
@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("3600", 60.0), ("soon", None), ("Mon, 21 Aug 2023 10:34:30 GMT", 0.0)]
)
@pytest.mark.parametrize("status", [200, 429, 503])
async def test_retry_after_goes_along_with_a_doubt(name: str, status: int, header: str, seconds: float | None) -> None:
    answer = httpx.Response(status, json=order("teleported"), headers={"Retry-After": header})
    assert doubt(await says(name, answer)).retry_after_seconds == seconds


# --- the query -------------------------------------------------------------------------------------------------


async def test_an_empty_array_is_not_found() -> None:
    assert await says("query", httpx.Response(200, json=[])) == NotFound()


@pytest.mark.parametrize("status", [201, 202, 203, 204, 206, 404, 500])
async def test_an_empty_array_with_another_status_is_doubt(status: int) -> None:
    assert doubt(await says("query", httpx.Response(status, content=b"[]"))).cause == "answered"


@pytest.mark.parametrize(
    "found", [{}, order("completed"), [order("completed")] * 2, [[order("completed")]], ["completed"], [{}], {"0": 1}]
)
async def test_anything_but_one_order_of_ours_in_an_array_is_doubt(found: object) -> None:
    assert doubt(await says("query", httpx.Response(200, json=found))).cause == "answered"


@pytest.mark.parametrize("name", ["submit", "cancel"])
@pytest.mark.parametrize("state", ["completed", "cancelled", "rejected"])
async def test_an_array_is_no_answer_to_a_post(name: str, state: str) -> None:
    assert doubt(await says(name, httpx.Response(200, json=[order(state)]))).cause == "answered"


# --- no answer -------------------------------------------------------------------------------------------------


@each_call
@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (httpx.ConnectError("refused"), "not_sent"),
        (httpx.ConnectTimeout("slow"), "not_sent"),
        (httpx.ReadTimeout("slow"), "unanswered"),
        (httpx.WriteError("reset"), "unanswered"),
        (httpx.RemoteProtocolError("no HTTP"), "unanswered"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_no_answer_is_doubt_of_its_kind(name: str, error: Exception, cause: str) -> None:
    said = doubt(await CALLS[name](carrier_at(Far(raises(error)).client())))
    assert (said.cause, said.retry_after_seconds, said.alert) == (cause, None, False)


async def test_a_refused_connection_is_not_sent() -> None:
    async with Tmf622Carrier.open(url=dead_url(), token=TOKEN) as carrier:
        assert doubt(await submit(carrier)).cause == "not_sent"


@pytest.mark.parametrize("name", tcp.UNANSWERED)
async def test_whatever_fails_after_the_connect_is_unanswered(name: str) -> None:
    async with loopback(tcp.UNANSWERED[name]) as server, Tmf622Carrier.open(url=server.url, token=TOKEN) as carrier:
        assert doubt(await submit(carrier)).cause == "unanswered"
        assert server.connections == 1


async def test_a_giant_answer_is_doubt() -> None:
    async with loopback(tcp.giant) as server, Tmf622Carrier.open(url=server.url, token=TOKEN) as carrier:
        assert doubt(await query(carrier)).cause == "answered"


async def test_a_post_that_is_late_is_not_sent() -> None:
    far = Far(httpx.Response(201, json=order("completed")))
    said = await carrier_at(far.client()).submit(BODY, timeout_seconds=PATIENCE_SECONDS, in_time=lambda: False)
    assert doubt(said).cause == "not_sent"
    assert far.requests == []


async def test_a_note_that_is_one_object_is_told_like_an_array_of_one() -> None:
    said = await says_of("submit", order("rejected", note={"text": "out of stock"}))
    assert isinstance(said, Refused)
    assert said.text == "out of stock"


@each_call
@pytest.mark.parametrize("charset", ["utf-8-sig", "gbk"])
async def test_an_order_counts_in_whatever_charset_its_words_stand(name: str, charset: str) -> None:
    stands = order("completed", note=[{"text": "已开通"}])
    whole = json.dumps([stands] if name == "query" else stands, ensure_ascii=False)
    said = await says(name, httpx.Response(200, content=whole.encode(charset)))
    assert said == Completed(carrier_order_id="PO1")
