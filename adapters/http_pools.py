"""One HTTP client over several small pools of connections.

httpcore's pool asks the kernel about every idle connection at each request and at each answer's end (1.0.9): with 20
connections that is half of what a request costs (measured). Over several pools each request meets a few of them. All
else is httpcore's own: the trace that says whether a byte has left, the limits, the errors.
"""

from collections.abc import AsyncIterator, Callable, Sequence

import httpx


class SpreadTransport(httpx.AsyncBaseTransport):
    """Sends each request by the transport that has the fewest in hand, so that none is full while another is not."""

    def __init__(self, transports: Sequence[httpx.AsyncBaseTransport]) -> None:
        self._transports = tuple(transports)
        self._in_hand = [0] * len(self._transports)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer's head; its transport is busy with it until the answer is closed."""
        least = self._in_hand.index(min(self._in_hand))
        self._in_hand[least] += 1

        def done() -> None:
            self._in_hand[least] -= 1

        try:
            response = await self._transports[least].handle_async_request(request)
        except BaseException:
            done()
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream), "an asynchronous transport's answer"
        response.stream = _Body(response.stream, done)
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        for transport in self._transports:
            await transport.aclose()


class _Body(httpx.AsyncByteStream):
    """An answer's body; says once when it is closed."""

    def __init__(self, body: httpx.AsyncByteStream, done: Callable[[], None]) -> None:
        self._body = body
        self._done = done
        self._open = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            yield chunk

    async def aclose(self) -> None:
        if self._open:
            self._open = False
            self._done()
        await self._body.aclose()
