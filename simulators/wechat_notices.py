"""WeChat Pay's refund notifications, signed and encrypted, sent again until the merchant has stored them."""

from __future__ import annotations

import asyncio
import json
import secrets
from http import HTTPStatus

import httpx

from simulators.book import now_utc, rfc3339
from simulators.keys import WechatKeys
from simulators.wechat_signing import encrypted_resource, signature_headers
from simulators.wire import Json, Pace, StoppingError

RESEND_AFTER_SECONDS = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)
"""As the provider documents it; unscaled."""
ANSWER_TIMEOUT_SECONDS = 5.0


class Notifier:
    """Sends notifications beside the requests; what is under way when the simulator ends is not sent again."""

    def __init__(self, keys: WechatKeys, pace: Pace) -> None:
        self._keys = keys
        self._pace = pace
        self._http: httpx.AsyncClient | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, url: str, status: str, content: Json) -> None:
        """Tell a merchant's address how a refund ended."""
        notice = {
            "id": secrets.token_hex(16),
            "create_time": rfc3339(now_utc()),
            "resource_type": "encrypt-resource",
            "event_type": f"REFUND.{status}",
            "summary": f"refund {status.lower()}",
            "resource": encrypted_resource(self._keys, content, original_type="refund"),
        }
        task = asyncio.ensure_future(self._send_until_stored(url, json.dumps(notice).encode()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._http is not None:
            await self._http.aclose()

    async def _send_until_stored(self, url: str, body: bytes) -> None:
        try:
            for wait_seconds in (*RESEND_AFTER_SECONDS, None):
                if await self._is_stored(url, body) or wait_seconds is None:
                    return
                await self._pace.sleep(wait_seconds)
        except StoppingError:
            return

    async def _is_stored(self, url: str, body: bytes) -> bool:
        self._http = self._http or httpx.AsyncClient(timeout=ANSWER_TIMEOUT_SECONDS, trust_env=False)
        headers = {"Content-Type": "application/json", **signature_headers(self._keys, body)}
        try:
            answer = await self._http.post(url, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL):
            return False
        return answer.status_code in (HTTPStatus.OK, HTTPStatus.NO_CONTENT)
