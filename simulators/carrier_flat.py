"""The carrier's old, flat interface: one call that orders; no number of the caller's, no query, no cancel.

`POST /m2m/orderPackage`, a form of `iccid`, `packageId` and where known `msisdn`; the receipt is a flat JSON object of
`resultCode`, `resultMsg` and, once something was booked, `orderNo`. The same request again orders again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.book import Book, Entry
from simulators.carrier_faults import Receipt
from simulators.faults import Error, Fault, FaultPlans, Hang, Malformed, Reset, Taken, Throttle, UnknownState
from simulators.wire import DropResponse, HangResponse, Json, Pace, json_response

PATH = "/m2m/orderPackage"
DONE = "00000"
NO_SUCH_NUMBER = "10001"
PACKAGE_UNSUPPORTED = "12000"
ICCID = re.compile(r"[0-9]{19,20}")
MESSAGES = {
    DONE: "success",
    "10000": "suspended",
    NO_SUCH_NUMBER: "no such number",
    "10002": "abnormal status",
    "10003": "real-name problem",
    "10004": "duplicate",
    "10005": "work order in flight",
    "11001": "closed after time-out",
    "11005": "maintenance",
    "11006": "number throttled",
    "11999": "supplier error",
    PACKAGE_UNSUPPORTED: "package unsupported",
    "80000": "throttled",
    "89999": "unknown error",
    "99999": "unknown error",
}


def card_sha256(iccid: str) -> str:
    """How the book names a card."""
    return hashlib.sha256(iccid.encode()).hexdigest()


@dataclass(slots=True)
class Tally:
    """What was asked about one card, and how often something was sold on it."""

    posts: int = 0
    body_digests: set[str] = field(default_factory=set[str])
    sold: int = 0


class FlatInterface:
    """The interface as routes of the carrier's process; one book and one set of fault plans with the other dialect.

    A fault's key is the card's ICCID, which is kept nowhere else.
    """

    def __init__(
        self, book: Book, pace: Pace, plans: FaultPlans[Fault], is_authorized: Callable[[Request], bool]
    ) -> None:
        self._book = book
        self._pace = pace
        self._plans = plans
        self._is_authorized = is_authorized
        self._tallies: dict[str, Tally] = {}
        for entry in book.replay():
            self._apply(entry)

    def routes(self) -> list[Route]:
        """The one call."""
        return [Route(PATH, self._order, methods=["POST"])]

    def summary(self) -> dict[str, dict[str, object]]:
        """Per card (its SHA-256): what was asked and what was sold."""
        return {
            card: {"posts": tally.posts, "distinct_bodies": len(tally.body_digests), "sold": tally.sold}
            for card, tally in self._tallies.items()
        }

    async def _order(self, request: Request) -> Response:
        body = await request.body()
        digest = hashlib.sha256(body).hexdigest()
        if not self._is_authorized(request):
            self._record("unauthorized", method=request.method, body_sha256=digest)
            return await self._said(receipt("80001", "the bearer token is not the carrier's --token", status=401))
        members = _form(body)
        iccid, package_id = members.get("iccid", ""), members.get("packageId", "")
        card = card_sha256(iccid)
        taken = self._plans.take([iccid], "post")
        number = self._record("flat_post", card_sha256=card, body_sha256=digest, faults=taken.kinds).seq
        await self._pace.sleep(taken.delay_before_seconds)
        answer = self._act(taken, iccid, package_id)
        await self._pace.sleep(taken.delay_after_seconds)
        return await self._answer(number, card, taken, answer)

    def _act(self, taken: Taken[Fault], iccid: str, package_id: str) -> Response:
        if not ICCID.fullmatch(iccid):
            return receipt(NO_SUCH_NUMBER)
        if not package_id:
            return receipt(PACKAGE_UNSUPPORTED)
        if not taken.acts:
            return receipt("99999")
        order_no = f"M2M{self._book.next_seq:010d}"
        self._record("flat_sold", card_sha256=card_sha256(iccid), package_id=package_id, order_no=order_no)
        return receipt(DONE, order_no=order_no)

    async def _answer(self, number: int, card: str, taken: Taken[Fault], answer: Response) -> Response:
        """What the caller gets; the book has it before."""
        match taken.answer:
            case Hang():
                await self._book.durable()
                return HangResponse(self._pace)
            case Reset():
                await self._book.durable()
                return DropResponse(answer)
            case Receipt(code=code):
                answer = receipt(code)
            case Error(status=status):
                answer = receipt("99999", "a fault that was ordered", status=status)
            case Throttle(retry_after_seconds=seconds):
                headers = {} if seconds is None else {"Retry-After": str(seconds)}
                answer = receipt("80000", status=HTTPStatus.TOO_MANY_REQUESTS, headers=headers)
            case UnknownState(state=state):
                answer = receipt(state, "a code nobody has heard of")
            case Malformed(body=body):
                answer = _malformed(body)
            case _:
                pass
        self._record("flat_answer", card_sha256=card, to=number, status=answer.status_code, shown=_code(answer))
        return await self._said(answer)

    async def _said(self, answer: Response) -> Response:
        await self._book.durable()
        return answer

    def _record(self, kind: str, **data: Any) -> Entry:
        entry = self._book.append(kind, **data)
        self._apply(entry)
        return entry

    def _apply(self, entry: Entry) -> None:
        card = entry.data.get("card_sha256")
        if card is None:
            return
        tally = self._tallies.setdefault(card, Tally())
        if entry.kind == "flat_post":
            tally.posts += 1
            tally.body_digests.add(entry.data["body_sha256"])
        tally.sold += entry.kind == "flat_sold"


def receipt(
    code: str,
    message: str | None = None,
    *,
    order_no: str | None = None,
    status: int = HTTPStatus.OK,
    headers: dict[str, str] | None = None,
) -> Response:
    """An answer: a flat object of strings."""
    members: Json = {"resultCode": code, "resultMsg": MESSAGES.get(code, "") if message is None else message}
    if order_no is not None:
        members["orderNo"] = order_no
    return json_response(members, status, headers)


def _form(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode("ascii"), strict_parsing=True))
    except ValueError:
        return {}


def _malformed(body: str) -> Response:
    match body:
        case "no_state":
            return json_response({"resultMsg": "success"})
        case "wrong_type":
            return json_response({"resultCode": 0, "resultMsg": "success"})
        case "empty":
            return Response(b"", media_type="application/json")
        case _:
            return Response(b"<html><body>OK</body></html>", media_type="application/json")


def _code(answer: Response) -> str | None:
    """The receipt's code, for the book."""
    try:
        code = json.loads(bytes(answer.body)).get("resultCode")
    except ValueError:
        return None
    return code if isinstance(code, str) else None
