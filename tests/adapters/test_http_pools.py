"""Requests are spread over pools by what each has in hand; how a request ends never leaves a pool busy."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from adapters.http_pools import SpreadTransport

URL = "http://carrier.invalid/orders"


class Body(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"{}"


class Pool(httpx.AsyncBaseTransport):
    """Answers, or fails as it is told."""

    def __init__(self) -> None:
        self.requests = 0
        self.closed = False
        self.error: BaseException | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        return httpx.Response(200, stream=Body(), request=request)

    async def aclose(self) -> None:
        self.closed = True


@pytest.fixture
def pools() -> list[Pool]:
    return [Pool() for _ in range(3)]


async def head(http: httpx.AsyncClient) -> httpx.Response:
    """An answer that is not read yet."""
    return await http.send(http.build_request("POST", URL), stream=True)


async def test_what_is_in_hand_is_spread_evenly_and_closed_answers_count_no_more(pools: list[Pool]) -> None:
    async with httpx.AsyncClient(transport=SpreadTransport(pools)) as http:
        open_answers = [await head(http) for _ in range(9)]
        assert [pool.requests for pool in pools] == [3, 3, 3]
        for answer in open_answers[1::3]:  # the second pool's
            assert await answer.aread() == b"{}"
            await answer.aclose()
            await answer.aclose()  # once more says nothing twice
        open_answers += [await head(http) for _ in range(3)]
        assert [pool.requests for pool in pools] == [3, 6, 3]
        for answer in open_answers:
            await answer.aclose()
    assert all(pool.closed for pool in pools)


@pytest.mark.parametrize("error", [httpx.ConnectError("away"), asyncio.CancelledError()])
async def test_a_request_that_fails_or_is_given_up_leaves_no_pool_busy(pools: list[Pool], error: BaseException) -> None:
    async with httpx.AsyncClient(transport=SpreadTransport(pools)) as http:
        pools[0].error = error
        for _ in range(4):
            with pytest.raises(type(error)):
                await head(http)
        assert [pool.requests for pool in pools] == [4, 0, 0]


async def test_requests_under_way_count_from_their_start(pools: list[Pool]) -> None:
    async with httpx.AsyncClient(transport=SpreadTransport(pools)) as http:
        answers = await asyncio.gather(*(head(http) for _ in range(6)))
        assert [pool.requests for pool in pools] == [2, 2, 2]
        for answer in answers:
            await answer.aclose()
