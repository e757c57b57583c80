"""Canned answers for an adapter, and what it asked."""

from collections.abc import Callable

import httpx

Answer = Callable[[httpx.Request], httpx.Response]


class Far:
    """The far side: gives one answer to every request and keeps the requests."""

    def __init__(self, answer: Answer | httpx.Response) -> None:
        self._answer = answer
        self.requests: list[httpx.Request] = []

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self._handle))

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._answer if isinstance(self._answer, httpx.Response) else self._answer(request)


def raises(error: Exception) -> Answer:
    """No answer at all."""

    def fail(_request: httpx.Request) -> httpx.Response:
        raise error

    return fail
