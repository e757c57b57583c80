"""Sends one push; whatever becomes of it, an order hears nothing of it."""

from typing import Final

import httpx

from adapters import http
from adapters.push.message import Message, refusal, request
from adapters.push.settings import Format, Pushing
from orders.clock import Clock

SEND_SECONDS: Final = 10.0
"""A chat answers within one; no order waits for it."""
WHOM: Final = "The webhook of TOPUP_PUSH_URL"


class PushClient:
    """The configured webhook."""

    def __init__(self, client: httpx.AsyncClient, settings: Pushing, clock: Clock) -> None:
        assert settings.push_url is not None, "whoever pushes has an address"
        self._http = client
        self._url = httpx.URL(settings.push_url)
        self._form: Format = settings.push_format
        self._secret = settings.push_secret
        self._clock = clock
        self._health = http.EndpointHealth()

    async def send(self, message: Message) -> str:
        """Why it was not taken, as a sentence without the address, which holds a key; empty where it was."""
        made = request(message, self._form, self._secret, self._clock.now())
        headers = {"content-type": "application/json; charset=utf-8", **made.headers}
        url = self._url.copy_merge_params(dict(made.parameters))
        post = httpx.Request("POST", url, headers=headers, content=made.body)
        reply = await http.send(self._http, post, whom=WHOM, timeout_seconds=SEND_SECONDS, health=self._health)
        if isinstance(reply, http.NoResponse):
            return reply.why
        if not reply.is_success:
            return f"{WHOM} answered HTTP {reply.status}: see its address, its format and TOPUP_PUSH_SECRET."
        why = "" if self._form in ("json", "slack") else refusal(http.json_object(reply.body))
        return f"{WHOM} refused the message ({why}): see its key, its secret and its keywords." if why else ""
