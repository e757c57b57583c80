"""The codec server answers those it knows, and nobody else, in Temporal's protocol (contracts §11)."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import MessageToDict
from starlette.applications import Starlette
from temporalio.api.common.v1 import Payload
from temporalio.converter import WorkflowSerializationContext

from configuration.processes import CodecServerSettings
from console import codec_server
from console.codec_server import CodecServer
from runtime.health import Health
from runtime.metrics import Metrics
from runtime.process import ProcessContext
from runtime.settings import SettingsError, load
from runtime.telemetry import configure_logging
from runtime.temporal import data_converter

KEY, OLD, OTHER = bytes(range(32)), bytes(range(1, 33)), bytes(range(2, 34))
LI, PROXY = "li's-own-token-of-32-characters", "the-proxy-s-token-of-32-character"
UI = "https://temporal.example"
NOTE = "carrier's desk, ticket 4711"
SETTINGS = {
    "TOPUP_CODEC_KEY": base64.b64encode(KEY).decode(),
    "TOPUP_CODEC_OLD_KEYS": base64.b64encode(OLD).decode(),
    "TOPUP_CODEC_TOKENS": json.dumps({"li": LI}),
    "TOPUP_CODEC_PROXY_TOKEN": PROXY,
    "TOPUP_CODEC_ORIGINS": UI,
}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def encrypted(key: bytes | None, text: str = NOTE) -> dict[str, Any]:
    context = WorkflowSerializationContext("default", "topup/TA00001")
    (payload,) = await data_converter(key).with_context(context).encode([text])
    return MessageToDict(payload)


def text_of(payload: dict[str, Any]) -> str:
    return json.loads(base64.b64decode(payload["data"]))


@dataclass
class Server:
    http: httpx.AsyncClient
    metrics: Metrics
    log: io.StringIO

    async def decode(self, *payloads: dict[str, Any], **headers: str) -> httpx.Response:
        return await self.http.post("/decode", json={"payloads": payloads}, headers=headers)

    def counted(self, name: str, result: str) -> float:
        return self.metrics.counter(name).labels(result)._value.get()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    metrics, log = Metrics(), io.StringIO()
    configure_logging(stream=log)
    context = ProcessContext(load(SETTINGS, CodecServerSettings), asyncio.Event(), Health(), metrics)
    app = Starlette(routes=list(CodecServer(context).routes()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://codec") as http:
        yield Server(http, metrics, log)


async def test_an_operator_with_a_token_reads_what_is_encrypted_and_the_log_says_who_read_what(server: Server):
    answer = await server.decode(await encrypted(KEY), await encrypted(OLD), await encrypted(None), **bearer(LI))
    assert answer.status_code == 200
    assert [text_of(payload) for payload in answer.json()["payloads"]] == [NOTE] * 3
    assert answer.headers["cache-control"] == "no-store"
    line = json.loads(server.log.getvalue().splitlines()[-1])
    assert (line["operator"], line["workflows"], line["decoded"], line["plain"]) == ("li", ["topup/TA00001"], 2, 1)
    assert "4711" not in server.log.getvalue()
    assert server.counted("topup_codec_payloads_total", "decoded") == 2


async def test_the_sign_in_proxy_names_the_operator_and_nobody_else_can(server: Server):
    payload = await encrypted(KEY)
    named = {"X-Forwarded-User": "wu\nforged"}
    assert (await server.decode(payload, **bearer(PROXY))).status_code == 401
    assert (await server.decode(payload, **named)).status_code == 401
    assert (await server.decode(payload, **bearer(PROXY), **{"X-Forwarded-User": "wu@example.com"})).status_code == 200
    assert '"operator":"wu@example.com"' in server.log.getvalue().replace(": ", ":")
    assert (await server.decode(payload, **bearer(LI), **{"X-Forwarded-User": "wu"})).status_code == 200
    assert json.loads(server.log.getvalue().splitlines()[-1])["operator"] == "li"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer "},
        {"Authorization": LI},
        {"Authorization": f"Basic {LI}"},
        bearer(LI + "x"),
        bearer(LI[:-1]),
        bearer("li"),
    ],
)
async def test_whoever_it_does_not_know_gets_the_same_answer_and_is_read_nothing_of(server: Server, headers):
    refused = await server.http.post("/decode", content=b"{no json", headers=headers)
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert (await server.decode(await encrypted(KEY), **headers)).content == refused.content
    assert server.counted("topup_codec_requests_total", "refused") == 2


async def test_what_it_can_not_open_stays_as_it_is_and_hides_nothing_else(server: Server):
    changed, unknown = await encrypted(KEY), await encrypted(OTHER)
    changed["data"] = base64.b64encode(b"x" * 40).decode()
    answer = await server.decode(changed, unknown, await encrypted(KEY), **bearer(LI))
    assert answer.json()["payloads"][:2] == [changed, unknown]
    assert text_of(answer.json()["payloads"][2]) == NOTE
    assert server.counted("topup_codec_payloads_total", "changed") == 1
    assert server.counted("topup_codec_payloads_total", "unknown_key") == 1


def typed(data: bytes) -> dict[str, Any]:
    return MessageToDict(Payload(metadata={"encoding": b"json/plain"}, data=data))


async def test_a_request_typed_in_the_web_ui_carries_the_name_of_who_is_signed_in(server: Server):
    requests = [b'{"operator": "wu", "note": "4711"}', b'{"note": "4711"}', b'{"operator": "", "outcome": "delivered"}']
    body = {"payloads": [typed(request) for request in requests]}
    answer = await server.http.post("/encode?preserveStorageRefs=true", json=body, headers=bearer(LI))
    sent = [json.loads(base64.b64decode(payload["data"])) for payload in answer.json()["payloads"]]
    assert [request["operator"] for request in sent] == ["li", "li", "li"]
    assert (sent[0]["note"], sent[2]["outcome"]) == ("4711", "delivered")


@pytest.mark.parametrize(
    "data",
    [
        b'{"operator": "wu", "note": "4711", "x": 1.5}',
        b'{"operator": "wu", "note": "4711", "x": NaN}',
        b'{"operator": "li", "operator": "wu", "note": "4711"}',
        b'{"operator": "wu", "note": "4711", "x": ' + b"[" * 9 + b"]" * 9 + b"}",
        b'{"operator": "wu", "note": "\\ud800"}',
        b"\xef\xbb\xbf" + b'{"operator": "wu", "note": "4711"}',
        '{"operator": "wu", "note": "4711"}'.encode("utf-16"),
    ],
    ids=["fraction", "NaN", "twice", "deep", "half a surrogate", "byte order mark", "UTF-16"],
)
async def test_a_name_that_was_typed_in_odd_json_is_refused_and_not_sent_on(server: Server, data: bytes):
    """A worker reads these; they were sent on as they were, with whatever name was typed in them."""
    answer = await server.http.post("/encode", json={"payloads": [typed(b'"x"'), typed(data)]}, headers=bearer(LI))
    assert answer.status_code == 400
    assert "An operator's request is one JSON object" in answer.json()["error"]
    assert server.counted("topup_codec_requests_total", "malformed") == 1


@pytest.mark.parametrize(
    "data", [b'"text"', b"{no json", b'{"order_id": "T1"}', b"[1]", b'{"a": 1.5}', b"[" * 9000, b""]
)
async def test_what_is_no_request_of_an_operator_is_sent_on_as_it_is(server: Server, data: bytes):
    answer = await server.http.post("/encode", json={"payloads": [typed(data)]}, headers=bearer(LI))
    assert answer.json() == {"payloads": [typed(data)]}


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b'{"payloads": 1}', b'{"payloads": [1]}', b'{"payloads": [{"data": "\xff"}]}', b"{" * 9000],
)
async def test_what_is_no_request_is_refused_by_a_sentence(server: Server, body: bytes):
    answer = await server.http.post("/decode", content=body, headers=bearer(LI))
    assert answer.status_code == 400
    assert "payloads" in answer.json()["error"]


async def test_a_request_is_bounded(server: Server, monkeypatch):
    monkeypatch.setattr(codec_server, "MOST_BYTES", 1000)
    answer = await server.http.post("/decode", content=b" " * 1001, headers=bearer(LI))
    assert answer.status_code == 413


async def test_a_browser_may_ask_from_the_web_ui_and_from_nowhere_else(server: Server):
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, x-namespace, authorization-extras",
    }
    allowed = await server.http.options("/decode", headers={"Origin": UI, **asked})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, UI)
    assert allowed.headers["access-control-allow-credentials"] == "true"
    stranger = await server.http.options("/decode", headers={"Origin": "https://evil.example", **asked})
    assert "access-control-allow-origin" not in stranger.headers
    answered = await server.decode(await encrypted(KEY), Origin=UI, **bearer(LI))
    assert answered.headers["access-control-allow-origin"] == UI


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"TOPUP_CODEC_KEY": "", "TOPUP_CODEC_OLD_KEYS": ""}, "TOPUP_CODEC_KEY is not set"),
        ({"TOPUP_CODEC_TOKENS": "", "TOPUP_CODEC_PROXY_TOKEN": ""}, "Neither TOPUP_CODEC_TOKENS nor"),
        ({"TOPUP_CODEC_TOKENS": '{"li": "short"}'}, "TOPUP_CODEC_TOKENS must be 20 or more"),
        ({"TOPUP_CODEC_TOKENS": f'{{"li": "{LI}", "wu": "{LI}"}}'}, "a token of their own"),
        ({"TOPUP_CODEC_TOKENS": "[]"}, "TOPUP_CODEC_TOKENS must be a JSON object"),
        ({"TOPUP_CODEC_TOKENS": "[" * 100_000}, "TOPUP_CODEC_TOKENS must be a JSON object"),
        ({"TOPUP_CODEC_PROXY_TOKEN": "short"}, "TOPUP_CODEC_PROXY_TOKEN must be 20 or more"),
        ({"TOPUP_CODEC_ORIGINS": "*"}, "TOPUP_CODEC_ORIGINS"),
        ({"TOPUP_CODEC_ORIGINS": "https://a.example/path"}, "must be the origins of Web UIs"),
    ],
)
def test_wrong_settings_are_named_and_no_secret_with_them(changes: dict[str, str], named: str):
    with pytest.raises(SettingsError) as raised:
        load(SETTINGS | changes, CodecServerSettings)
    assert named in " ".join(raised.value.faults)
    assert LI not in str(raised.value.faults)
    assert LI not in repr(load(SETTINGS, CodecServerSettings))
