"""Questions that only a working part answers; each raises while it doesn't."""

import socket
from collections.abc import Callable
from pathlib import Path

import httpx

ANSWER_SECONDS = 2.0
Question = Callable[[], object]


def accepts(port: int) -> Question:
    """Something listens on the loopback port."""
    return lambda: socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS).close()


def answers(url: str) -> Question:
    """An HTTP GET is answered 200; else the answer's text is the reason."""

    def ask() -> None:
        answer = httpx.get(url, timeout=ANSWER_SECONDS, trust_env=False)
        if not answer.is_success:
            raise ConnectionError(" ".join(answer.text.split())[:300])

    return ask


def all_of(*questions: Question) -> Question:
    """Every question is answered."""

    def ask() -> None:
        for question in questions:
            question()

    return ask


def has_content(path: Path) -> Question:
    """The file is there and not empty."""

    def ask() -> None:
        if not path.exists() or not path.read_text().strip():
            raise FileNotFoundError(f"{path.name} is not written yet")

    return ask
