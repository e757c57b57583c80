"""Questions that only a working part answers; each raises while it doesn't."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from devkit.stack.ports import LOOPBACK

ANSWER_SECONDS = 2.0


def accepts(port: int) -> Callable[[], Awaitable[None]]:
    """Something listens on the port."""

    async def ask() -> None:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.close()

    return ask


def answers(url: str) -> Callable[[], Awaitable[None]]:
    """An HTTP GET is answered 200; else the answer's text is the reason."""

    async def ask() -> None:
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False) as client:
            answer = await client.get(url)
        if not answer.is_success:
            raise ConnectionError(" ".join(answer.text.split())[:300])

    return ask


def all_of(*questions: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """Every question is answered."""

    async def ask() -> None:
        for question in questions:
            await question()

    return ask


def has_content(path: Path) -> Callable[[], Awaitable[None]]:
    """The file is there and not empty."""

    async def ask() -> None:
        if not _has_content(path):
            raise FileNotFoundError(f"{path.name} is not written yet")

    return ask


def _has_content(path: Path) -> bool:
    return path.exists() and bool(path.read_text().strip())
