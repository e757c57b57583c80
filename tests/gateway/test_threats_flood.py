"""The threat "flood" of contracts §7: what is too large, too slow or too much costs no good callback its answer."""

import asyncio
import gzip

import pytest

import gateway.server
from tests.gateway.providers import Callback, alipay, alipay_form, trade
from tests.gateway.serving import Gateway, parsed
from tests.gateway.serving import gateway as gateway_process
from tests.gateway.threats import AGAIN, bare, good, is_refused, is_stored, request_of
from tests.limits import WAIT_SECONDS


async def connected(gate: Gateway) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client whose connection the server has: from here on it counts its seconds by the limits as they are then."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    async with asyncio.timeout(WAIT_SECONDS):
        while not gate.server._open:
            await asyncio.sleep(0.001)
    return reader, writer


async def test_flood_a_body_has_64_kib_and_not_a_byte_more(gate: Gateway):
    def filled(size: int) -> Callback:
        return alipay(alipay_form(trade(subject="x" * 9)).replace(b"x" * 9, b"x" * (9 + size), 1))

    at_most = 65_536 - len(filled(0)[1])

    assert (await gate.post("alipay", filled(at_most))).raw == AGAIN["alipay"]  # read, and its signature is wrong
    assert (await gate.post("alipay", filled(at_most + 1))).raw == bare(413)


async def test_flood_a_chunked_body_has_64_kib_too(gate: Gateway):
    head = b"POST /callbacks/wechat HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert await gate.raw(head + b"8000\r\n" + b"x" * 0x8000 + b"\r\n8001\r\n" + b"x" * 0x8001) == bare(413)
    assert await gate.raw(head + b"1\r\nx\r\n" * 5000) == bare(413)


async def test_flood_a_head_is_bounded(gate: Gateway):
    head = b"POST /callbacks/wechat HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000

    assert await gate.raw(head) == bare(400)
    assert await gate.raw(head + b"\r\nContent-Length: 0\r\n\r\n") == bare(400)


async def test_flood_an_encoded_body_is_refused_unread(gate: Gateway):
    headers, body = good()
    for encoding, sent in (("gzip", gzip.compress(body)), ("identity", body), ("", body)):
        await is_refused(gate, "wechat", (headers | {"Content-Encoding": encoding}, sent))


async def test_flood_a_connection_that_says_nothing_has_its_seconds(gate: Gateway, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gateway.server, "HEAD_SECONDS", 0.0)

    assert await gate.raw(b"") == b""


async def test_flood_a_head_has_its_seconds(gate: Gateway, monkeypatch: pytest.MonkeyPatch):
    reader, writer = await connected(gate)
    monkeypatch.setattr(gateway.server, "HEAD_SECONDS", 0.0)
    writer.write(request_of(good())[:30])

    assert await reader.read() == bare(408)
    writer.close()


async def test_flood_a_body_has_its_seconds(gate: Gateway, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gateway.server, "BODY_SECONDS", 0.0)

    assert await gate.raw(request_of(good())[:-1]) == bare(408)


async def test_flood_a_head_that_drips_has_no_longer(gate: Gateway, monkeypatch: pytest.MonkeyPatch):
    """Each byte comes within the limit, the whole does not: had each one the seconds anew, it would be answered."""
    reader, writer = await connected(gate)
    monkeypatch.setattr(gateway.server, "HEAD_SECONDS", 0.3)
    answer = asyncio.ensure_future(reader.read())
    for byte in request_of(good()):
        writer.write(bytes([byte]))
        await asyncio.wait((answer,), timeout=0.05)
        if answer.done():
            break
    writer.close()

    assert answer.result() == bare(408)


async def test_flood_slow_and_half_open_clients_cost_no_good_one_its_answer():
    async with gateway_process(max_connections=50) as gate:
        whole = request_of(good())
        slow = [await asyncio.open_connection("127.0.0.1", gate.port) for _ in range(200)]
        for number, (_, writer) in enumerate(slow):
            writer.write(whole[: (0, 10, len(whole) - 1)[number % 3]])
        for _ in range(20):
            await is_stored(gate, "wechat", good())
        assert len(gate.server._open) <= 51
        for _, writer in slow:
            writer.close()


async def test_flood_a_client_that_has_said_all_gets_its_answer(gate: Gateway):
    assert parsed(await gate.raw(request_of(good()), eof=True)).status == 204


async def test_flood_more_callbacks_in_hand_than_bounded_are_told_to_come_again(
    gate: Gateway, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gateway.callbacks.MAX_IN_HAND", 5)
    gate.topic.hold = asyncio.Event()
    waiting = [asyncio.ensure_future(gate.post("wechat", good())) for _ in range(6)]
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    gate.topic.hold.set()

    assert [task.result().raw for task in done] == [AGAIN["wechat"]]
    assert sorted(answer.status for answer in await asyncio.gather(*waiting)) == [204] * 5 + [500]


async def test_flood_an_answer_comes_in_time_also_where_kafka_is_frozen(gate: Gateway, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gateway.callbacks.ANSWER_SECONDS", 0.3)
    gate.topic.hold = asyncio.Event()

    await is_refused(gate, "wechat", good())
    gate.topic.hold.set()
