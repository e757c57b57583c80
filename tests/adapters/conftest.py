"""An order book on each database."""

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from adapters.order_book.book import OrderBook
from devkit.servers.postgres import Postgres
from tests.adapters.book_process import open_book


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/book.db"
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    with postgres.database() as url:
        yield url


@pytest.fixture
async def book(url: str) -> AsyncGenerator[OrderBook]:
    """The order book in it, made up."""
    opened = open_book(url)
    await opened.migrate()
    yield opened
    await opened.close()
