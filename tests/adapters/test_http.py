"""What is known of a request that failed: not sent, unanswered, answered with nothing usable."""

import asyncio
import gzip
import json
import logging
import sys
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from importlib.abc import MetaPathFinder

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import http as http_module
from adapters.http import (
    MAX_BODY_BYTES,
    MAX_RETRY_AFTER_SECONDS,
    EndpointHealth,
    NoResponse,
    Reply,
    client,
    json_object,
    origin,
    parse_json,
    retry_after_seconds,
    send,
)
from tests.adapters import loopback as tcp
from tests.adapters.loopback import PATIENCE_SECONDS, dead_url, loopback

NOW = datetime(2023, 8, 21, 10, 34, 0, tzinfo=UTC)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with client() as opened:
        yield opened


async def post(http: httpx.AsyncClient, url: str, timeout_seconds: float = PATIENCE_SECONDS) -> Reply | NoResponse:
    request = httpx.Request("POST", url, content=b"{}")
    return await send(http, request, whom="the carrier", timeout_seconds=timeout_seconds, health=EndpointHealth())


def cause(reply: Reply | NoResponse) -> str:
    assert isinstance(reply, NoResponse)
    assert "the carrier" in reply.why
    return reply.cause


async def test_a_refused_connection_is_not_sent(http: httpx.AsyncClient) -> None:
    assert cause(await post(http, dead_url())) == "not_sent"


async def test_a_name_that_does_not_resolve_is_not_sent(http: httpx.AsyncClient) -> None:
    assert cause(await post(http, "http://carrier.invalid")) == "not_sent"


@pytest.mark.parametrize("name", tcp.UNANSWERED)
async def test_whatever_fails_after_the_connect_is_unanswered(http: httpx.AsyncClient, name: str) -> None:
    async with loopback(tcp.UNANSWERED[name]) as server:
        assert cause(await post(http, server.url)) == "unanswered"
        assert server.connections == 1  # nothing was tried twice
        assert len(server.requests) <= 1


async def test_a_connection_that_never_gets_ready_is_not_sent(http: httpx.AsyncClient) -> None:
    """The TLS handshake hangs, and the total limit ends it: the trace knows that no request went out."""

    async def shake_no_hand(peer: tcp.Peer) -> None:
        await peer.let_the_limit_pass()
        await peer.client_gone()

    async with loopback(shake_no_hand) as server:
        reply = await post(http, server.url.replace("http:", "https:"))
    assert cause(reply) == "not_sent"


async def test_waiting_for_a_free_connection_is_not_sent() -> None:
    async with (
        httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_connections=1)) as http,
        loopback(tcp.never_answer) as server,
    ):
        busy = asyncio.create_task(post(http, server.url))
        async with asyncio.timeout(PATIENCE_SECONDS):
            await server.asked.wait()
        assert cause(await post(http, server.url, timeout_seconds=0.2)) == "not_sent"
        busy.cancel()
        assert len(server.requests) == 1


async def test_a_kept_connection_that_breaks_is_unanswered(http: httpx.AsyncClient) -> None:
    async def answer_once(peer: tcp.Peer) -> None:
        await peer.request()
        await peer.say(tcp.head(2) + b"[]")
        await peer.request()

    async with loopback(answer_once) as server:
        first = await post(http, server.url)
        assert isinstance(first, Reply)
        assert first.body == b"[]"
        assert cause(await post(http, server.url)) == "unanswered"
        assert server.connections == 1


async def test_a_giant_body_is_not_read_to_its_end(http: httpx.AsyncClient) -> None:
    async with loopback(tcp.giant) as server, asyncio.timeout(PATIENCE_SECONDS):
        assert cause(await post(http, server.url)) == "answered"


async def test_a_request_searches_for_no_package(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each search goes through all of `sys.path`, and httpcore would make some at every request."""
    searched: list[str] = []

    class Noting(MetaPathFinder):
        def find_spec(self, fullname: str, *_: object) -> None:
            searched.append(fullname)

    async with loopback(tcp.answering(*[tcp.head(2) + b"[]"] * 2)) as server:
        await post(http, server.url)  # the first one loads what it needs
        monkeypatch.setattr(sys, "meta_path", [Noting(), *sys.meta_path])
        assert isinstance(await post(http, server.url), Reply)
    assert searched == []


async def test_the_largest_body_that_is_read(http: httpx.AsyncClient) -> None:
    body = b" " * MAX_BODY_BYTES
    async with loopback(tcp.answering(tcp.head(len(body)) + body)) as server:
        reply = await post(http, server.url)
    assert isinstance(reply, Reply)
    assert reply.body == body


def packed_as(coding: str, packed: bytes) -> bytes:
    return tcp.head(len(packed), "200 OK", f"Content-Encoding: {coding}") + packed


@pytest.mark.parametrize("layers", [1, 2])
async def test_a_compressed_answer_is_unpacked_no_further_than_a_body_may_go(
    http: httpx.AsyncClient, layers: int
) -> None:
    packed = b" " * 100 * MAX_BODY_BYTES
    for _ in range(layers):
        packed = gzip.compress(packed, mtime=0)
    assert len(packed) < MAX_BODY_BYTES
    async with loopback(tcp.answering(packed_as(", ".join(["gzip"] * layers), packed))) as server:
        assert cause(await post(http, server.url)) == "answered"


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(b"[]", mtime=0)),
        ("X-GZIP", gzip.compress(b"[]", mtime=0)),
        ("deflate", zlib.compress(b"[]")),
        ("gzip, identity", gzip.compress(b"[]", mtime=0)),
        ("deflate, gzip", gzip.compress(zlib.compress(b"[]"), mtime=0)),
    ],
)
async def test_an_answer_that_a_proxy_packed_unasked_is_read(
    http: httpx.AsyncClient, coding: str, packed: bytes
) -> None:
    async with loopback(tcp.answering(packed_as(coding, packed))) as server:
        reply = await post(http, server.url)
    assert isinstance(reply, Reply)
    assert reply.body == b"[]"


@pytest.mark.parametrize("coding", ["utf-8", "UTF-8", "none", "", "Identity", "identity, identity", "gzip"])
async def test_a_header_that_names_no_coding_or_a_wrong_one_says_nothing_of_the_body(
    http: httpx.AsyncClient, coding: str
) -> None:
    async with loopback(tcp.answering(packed_as(coding, b"[]"))) as server:
        reply = await post(http, server.url)
    assert isinstance(reply, Reply)
    assert reply.body == b"[]"


async def test_an_empty_answer_that_is_said_to_be_packed_is_an_empty_answer(http: httpx.AsyncClient) -> None:
    async with loopback(tcp.answering(packed_as("gzip", b""))) as server:
        reply = await post(http, server.url)
    assert isinstance(reply, Reply)
    assert reply.body == b""


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(b"[]", mtime=0)[:-1]),
        ("br", b"[]"),
        ("zstd", b"[]"),
        ("br, gzip", gzip.compress(b"[]", mtime=0)),
    ],
)
async def test_an_answer_that_cannot_be_unpacked_is_no_answer(
    http: httpx.AsyncClient, coding: str, body: bytes
) -> None:
    async with loopback(tcp.answering(packed_as(coding, body))) as server:
        assert cause(await post(http, server.url)) == "answered"


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "gbk", "gb18030"])
def test_json_is_read_in_the_charsets_that_answers_come_in(charset: str) -> None:
    said = {"code": "20000", "sub_msg": "系统繁忙，请稍后再试"}
    assert json_object(json.dumps(said, ensure_ascii=False).encode(charset)) == said


@pytest.mark.parametrize("charset", ["gb18030", "latin-1"])
@given(one=st.text(st.characters(codec="latin-1")), other=st.text(st.characters(codec="latin-1")))
def test_no_text_in_another_charset_is_taken_for_the_member_beside_it(charset: str, one: str, other: str) -> None:
    said = json.dumps({"one": one, "state": "failed", "other": other}, ensure_ascii=False).encode(charset)
    assert (json_object(said) or {"state": "failed"})["state"] == "failed"


async def test_an_answer_that_was_not_read_to_its_end_gives_its_connection_free() -> None:
    limits = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(trust_env=False, limits=limits) as http, loopback(tcp.giant) as server:
        for _ in range(3):
            assert cause(await post(http, server.url)) == "answered"


async def test_a_redirect_is_an_answer_and_not_followed(http: httpx.AsyncClient) -> None:
    async with loopback(tcp.answering(tcp.head(0, "307 Temporary Redirect", "Location: /elsewhere"))) as server:
        reply = await post(http, server.url)
        assert isinstance(reply, Reply)
        assert (reply.status, reply.is_success, len(server.requests)) == (307, False, 1)


async def test_the_environment_sends_nothing_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, dead_url())
    async with client() as http, loopback(tcp.answering(tcp.head(2) + b"{}")) as server:
        assert isinstance(await post(http, server.url), Reply)


async def test_cancelling_ends_the_exchange_and_is_not_swallowed(http: httpx.AsyncClient) -> None:
    async with loopback(tcp.never_answer) as server:
        task = asyncio.create_task(post(http, server.url))
        async with asyncio.timeout(PATIENCE_SECONDS):
            await server.asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


async def test_a_time_limit_closes_the_connection(http: httpx.AsyncClient) -> None:
    gone = asyncio.Event()

    async def wait(peer: tcp.Peer) -> None:
        await peer.request()
        await peer.let_the_limit_pass()
        await peer.client_gone()
        gone.set()

    async with loopback(wait) as server:
        await post(http, server.url)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await gone.wait()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (httpx.ConnectError("refused"), "not_sent"),
        (httpx.ConnectTimeout("slow"), "not_sent"),
        (httpx.PoolTimeout("full"), "not_sent"),
        (httpx.ReadTimeout("slow"), "unanswered"),
        (httpx.WriteTimeout("slow"), "unanswered"),
        (httpx.ReadError("reset"), "unanswered"),
        (httpx.WriteError("reset"), "unanswered"),
        (httpx.CloseError("reset"), "unanswered"),
        (httpx.RemoteProtocolError("no HTTP"), "unanswered"),
        (httpx.LocalProtocolError("no HTTP"), "unanswered"),
        (httpx.DecodingError("no gzip"), "unanswered"),
        (TimeoutError(), "unanswered"),
        (OSError("TLS"), "unanswered"),
        (RuntimeError("unforeseen"), "unanswered"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_without_a_trace_only_the_errors_of_connecting_are_not_sent(error: Exception, expected: str) -> None:
    def fail(_request: httpx.Request) -> httpx.Response:
        raise error

    async with httpx.AsyncClient(transport=httpx.MockTransport(fail)) as http:
        assert cause(await post(http, "http://carrier.example")) == expected


async def test_a_connect_error_after_the_send_began_is_unanswered() -> None:
    """The trace outranks the error's name."""

    class Sends(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await request.extensions["trace"]("http11.send_request_headers.started", {})
            raise httpx.ConnectError("a second connect")

    async with httpx.AsyncClient(transport=Sends()) as http:
        assert cause(await post(http, "http://carrier.example")) == "unanswered"


async def test_why_tells_no_secret(http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    request = httpx.Request("POST", dead_url(), content=b"89860321247550000015", headers={"Authorization": "secret"})
    reply = await send(http, request, whom="the carrier", timeout_seconds=PATIENCE_SECONDS, health=EndpointHealth())
    assert isinstance(reply, NoResponse)
    for told in (reply.why, caplog.text):
        assert "89860321247550000015" not in told
        assert "secret" not in told


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("60", 60.0),
        ("61", 60.0),
        ("999999999999999999", 60.0),
        ("9999999999999999999", 60.0),
        ("9" * 5000, 60.0),
        ("0" * 30 + "7", 7.0),
        ("Mon, 21 Aug 2023 10:34:30 GMT", 30.0),
        ("Mon, 21 Aug 2023 10:34:30 -0000", 30.0),
        ("Mon, 21 Aug 2023 10:33:30 GMT", 0.0),
        ("Mon, 21 Aug 2033 10:33:30 GMT", 60.0),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("٧", None),  # a digit, though not one of HTTP's
        ("soon", None),
        ("9" * 5000 + "s", None),
        ("Mon, 99 Aug 2023 10:34:30 GMT", None),
    ],
)
def test_retry_after_is_read_and_capped(value: str, seconds: float | None) -> None:
    assert retry_after_seconds(value, NOW) == seconds


@given(st.text(), st.datetimes(timezones=st.just(UTC)))
def test_no_retry_after_is_beyond_its_bounds(value: str, now: datetime) -> None:
    seconds = retry_after_seconds(value, now)
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER_SECONDS


@given(st.integers(-3600, 3600))
def test_retry_after_as_a_date_is_the_time_until_then(seconds: int) -> None:
    date = (NOW + timedelta(seconds=seconds)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert retry_after_seconds(date, NOW) == min(max(seconds, 0), MAX_RETRY_AFTER_SECONDS)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 200_000, b"9" * 5000, b'{"a":' * 100_000])
def test_what_is_no_json_is_an_error_of_one_kind(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_json(body)
    assert json_object(body) is None


@pytest.mark.parametrize("body", [b"null", b"[]", b'"x"', b"1", b"true"])
def test_json_that_is_no_object_is_none(body: bytes) -> None:
    assert json_object(body) is None


@pytest.mark.parametrize(
    "url", ["", "carrier", "ftp://carrier", "http://", "http://user:pw@carrier", "http://carrier?x=1", "http://c#f"]
)
def test_an_address_that_cannot_be_one_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="https://host/path"):
        origin(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://127.0.0.1:8080/", "https://gateway.example/carrier/"])
def test_an_address_loses_its_last_slash(url: str) -> None:
    assert origin(url) == url.rstrip("/")


def test_a_side_that_accepts_and_never_answers_is_silent_until_it_answers(monkeypatch: pytest.MonkeyPatch):
    now = 1000.0
    monkeypatch.setattr(http_module.time, "monotonic", lambda: now)
    health = EndpointHealth()
    health.note(NoResponse("not_sent", "no connection"), now, 60)
    assert health.silent_seconds() == 0
    began, now = now, now + 1.5
    health.note(NoResponse("unanswered", "cut short"), began, 60)
    now += 58.5
    health.note(NoResponse("unanswered", "timed out"), now - 58.5, 58.5)
    assert health.silent_seconds() == 60
    health.note(Reply(503, httpx.Headers(), b""), now, 60)
    assert health.silent_seconds() == 0


@pytest.mark.parametrize("frozen", ["in a call", "between calls", "from one call into the next"])
def test_time_in_which_the_process_was_frozen_is_no_silence_of_the_other_side(
    frozen: str, monkeypatch: pytest.MonkeyPatch
):
    now = 1000.0
    monkeypatch.setattr(http_module.time, "monotonic", lambda: now)
    health = EndpointHealth()
    if frozen != "in a call":
        began, now = now, now + 15
        health.note(NoResponse("unanswered", "timed out"), began, 15)
    began, now = now, now + 900  # SIGSTOP, and the clock goes on
    if frozen != "between calls":
        health.note(NoResponse("unanswered", "timed out"), began, 15)

    assert health.silent_seconds() == (15 if frozen == "between calls" else 0)
    began, now = now, now + 15
    health.note(NoResponse("unanswered", "timed out"), began, 15)
    if frozen != "between calls":
        assert health.silent_seconds() == 15, "counted anew from the thaw"


def test_a_silence_that_nobody_has_looked_into_for_an_hour_is_forgotten(monkeypatch: pytest.MonkeyPatch):
    now = 1000.0
    monkeypatch.setattr(http_module.time, "monotonic", lambda: now)
    health = EndpointHealth()
    health.note(NoResponse("unanswered", "timed out"), now - 60, 60)
    assert health.silent_seconds() == 60
    now += 3601
    assert health.silent_seconds() == 0
