"""What `/readyz` says of the outside world."""

import asyncio
import time

import pytest

from adapters.http import EndpointHealth, NoResponse
from workers.readiness import reachable


async def test_a_carrier_that_accepts_connections_and_answers_no_call_is_named():
    async with await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        health = EndpointHealth()
        check = reachable(f"http://127.0.0.1:{port}", health, 60)

        assert await check() is None
        health.note(NoResponse("unanswered", "cut short"), time.monotonic() - 2, 60)
        assert await check() is None
        health.note(NoResponse("unanswered", "timed out"), time.monotonic(), 60)
        silent = EndpointHealth()
        silent.note(NoResponse("unanswered", "timed out"), time.monotonic() - 61, 61)
        with pytest.raises(ConnectionError, match="has answered no call for 61 s; orders wait for it"):
            await reachable(f"http://127.0.0.1:{port}", silent, 60)()


async def test_a_carrier_that_accepts_no_connection_is_named():
    async with await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    with pytest.raises(ConnectionError, match="accepts no connection"):
        await reachable(f"http://127.0.0.1:{port}", EndpointHealth(), 60)()
