"""Pushes: what each chat reads, what it must not be able to read into others' words, and what is due to whom."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from adapters.order_book.book import OrderBook, StoredOrder
from adapters.push.client import PushClient
from adapters.push.message import MOST_BYTES, Message, Told, request
from adapters.push.settings import Pushing
from orders.state import OrderState
from runtime.clock import SystemClock
from runtime.metrics import Metrics
from tests.adapters.book_process import paid_order
from workers.pushing import EVERY_SECONDS, Pusher

AT = datetime(2026, 11, 23, 10, tzinfo=UTC)
ORDER = "T20230821183406000001"
VIN = "LSGBC5342AG000001"
EVIL = f'<!channel> <at user_id="all"></at> [x](https://evil.example) {VIN} 14400000001 \x1b[31m\u202e'
PARKED = Told(ORDER, "partial", "parked", EVIL)
SECRET = "SEC0123456789"
FORMS = ("json", "slack", "wecom", "dingtalk", "feishu")


def said(form: Any, message: Message, secret: str | None = None) -> dict[str, Any]:
    return json.loads(request(message, form, secret, AT).body)


def text_of(form: str, body: Mapping[str, Any]) -> str:
    match form:
        case "json" | "slack":
            return body["text"]
        case "feishu":
            return body["content"]["text"]
        case _:
            return body["text"]["content"]


def test_each_form_names_the_order_and_nothing_of_what_others_said_acts_or_is_a_person() -> None:
    for form in FORMS:
        body = said(form, Message([PARKED, Told("T000002", "", "delivered", "")]))
        text = text_of(form, body)
        assert f"{ORDER} partial" in text
        assert "T000002 delivered" in text
        whole = json.dumps(body, ensure_ascii=False)
        for harm in ("<", ">", "&", "@", "://", "\x1b", "\u202e", VIN, "14400000001"):
            assert harm not in whole.replace("\\", ""), (form, harm)


def test_however_many_are_due_it_is_one_message_that_a_chat_takes() -> None:
    many = Message([replace(PARKED, order_id=f"T{number:08}", reason="长" * 500) for number in range(3000)])

    for form in FORMS:
        text = text_of(form, said(form, many))
        assert len(text.encode()) <= MOST_BYTES
        assert "3000 orders need a person" in text
    assert said("json", many)["need_person_count"] == 3000
    assert len(said("json", many)["need_person"]) == 100


def test_a_secret_signs_as_each_chat_demands() -> None:
    ding = request(Message([PARKED]), "dingtalk", SECRET, AT).parameters
    wanted = hmac.new(SECRET.encode(), f"{ding['timestamp']}\n{SECRET}".encode(), hashlib.sha256).digest()
    assert ding == {"timestamp": "1795428000000", "sign": base64.b64encode(wanted).decode()}

    feishu = said("feishu", Message([PARKED]), SECRET)
    wanted = hmac.new(f"{feishu['timestamp']}\n{SECRET}".encode(), b"", hashlib.sha256).digest()
    assert (feishu["timestamp"], feishu["sign"]) == ("1795428000", base64.b64encode(wanted).decode())

    assert request(Message([PARKED]), "json", SECRET, AT).headers == {"authorization": f"Bearer {SECRET}"}


@dataclass
class Access:
    """What `PushClient` reads of the settings."""

    push_format: str
    push_url: str = "https://hooks.example/send?key=a-secret-key"
    push_secret: str | None = None


@pytest.mark.parametrize(
    ("form", "answer", "why"),
    [
        ("wecom", httpx.Response(200, json={"errcode": 0, "errmsg": "ok"}), ""),
        ("wecom", httpx.Response(200, json={"errcode": 93000, "errmsg": "invalid"}), "errcode 93000"),
        ("feishu", httpx.Response(200, json={"code": 19021, "msg": "sign match fail"}), "code 19021"),
        ("slack", httpx.Response(200, text="ok"), ""),
        ("json", httpx.Response(204), ""),
        ("json", httpx.Response(503), "HTTP 503"),
    ],
)
async def test_a_push_has_arrived_only_where_the_chat_says_so_and_its_address_is_told_nobody(
    form: str, answer: httpx.Response, why: str
) -> None:
    asked: list[httpx.Request] = []

    def answers(asked_for: httpx.Request) -> httpx.Response:
        asked.append(asked_for)
        return answer

    access: Any = Access(form)
    async with httpx.AsyncClient(transport=httpx.MockTransport(answers)) as http:
        found = await PushClient(http, access, SystemClock()).send(Message([PARKED]))

    assert (why in found) if why else found == ""
    assert "a-secret-key" not in found
    assert str(asked[0].url) == access.push_url


def test_the_address_is_a_secret_of_the_settings() -> None:
    assert "hooks.example" not in repr(Pushing(push_url="https://hooks.example/send?key=x"))


# --- what is due ------------------------------------------------------------------------------------------------------


class Hook:
    """A webhook that can be dead."""

    def __init__(self) -> None:
        self.dead = False
        self.heard: list[list[tuple[str, str]]] = []
        self.tries = 0

    async def send(self, message: Message) -> str:
        self.tries += 1
        if self.dead:
            return "dead"
        self.heard.append([(one.order_id, one.attention) for one in message.orders])
        return ""


async def becomes(book: OrderBook, order_id: str, **changes: Any) -> None:
    def rule(stored: StoredOrder) -> tuple[OrderState, None]:
        return replace(stored.state, **changes), None

    await book.decide(order_id, rule, kind="test", detail=lambda _: {})


@pytest.fixture
async def parked(book: OrderBook) -> OrderBook:
    await book.claim([paid_order(f"T0000{number}") for number in range(4)])
    await becomes(book, "T00001", attention="partial", posts=1, in_doubt_since=AT)
    await becomes(book, "T00002", attention="carrier_silent", posts=1, in_doubt_since=AT)
    return book


async def test_parked_and_freed_are_each_told_once_and_a_dead_endpoint_owes_only_what_still_waits(
    parked: OrderBook,
) -> None:
    hook, metrics = Hook(), Metrics()
    pusher = Pusher(parked.duties, parked.pushes, hook, metrics, holder="a")
    second = Pusher(parked.duties, parked.pushes, hook, metrics, holder="b")
    await asyncio.gather(pusher.run_once(), second.run_once())
    await pusher.run_once()
    assert [sorted(one) for one in hook.heard] == [[("T00001", "partial"), ("T00002", "carrier_silent")]]

    hook.dead = True
    await becomes(parked, "T00001", attention="")
    await becomes(parked, "T00002", attention="contradicted")  # parked for another reason
    await becomes(
        parked, "T00003", attention="partial", posts=1, in_doubt_since=AT
    )  # and freed before anybody could be told
    pauses = [await one.run_once() for one in (pusher, second) for _ in range(4)]
    assert max(pauses) > EVERY_SECONDS, "what fails is tried ever more rarely"
    await becomes(parked, "T00003", attention="")
    said = metrics.exposition().decode()
    assert 'topup_pushes_total{result="sent"} 1.0' in said
    assert 'topup_pushes_total{result="failed"} 0.0' not in said

    hook.dead = False
    await pusher.run_once()
    await second.run_once()
    assert [sorted(one) for one in hook.heard[1:]] == [[("T00001", ""), ("T00002", "contradicted")]]
    tries = hook.tries
    await pusher.run_once()
    assert hook.tries == tries
    assert 'topup_pushes_total{result="sent"} 2.0' in metrics.exposition().decode()
