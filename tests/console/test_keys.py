"""`topup keys`: what an operator sees and does in a rotation of the order book's keys."""

import asyncio
import base64
import json
from pathlib import Path

import pytest

from adapters.order_book import OrderBook
from adapters.vault import Vault
from runtime.clock import SystemClock
from tests.adapters.book_process import VIN, paid_order
from tests.console.test_commands import said, topup

FIRST, SECOND = bytes(range(32)), bytes(range(32, 64))


def environment(folder: Path, current: bytes, *old: bytes) -> dict[str, str]:
    texts = [base64.b64encode(key).decode() for key in (current, *old)]
    url = f"sqlite:///{folder}/book.db"
    return {"TOPUP_DATABASE_URL": url, "TOPUP_PII_KEY": texts[0], "TOPUP_PII_OLD_KEYS": ",".join(texts[1:])}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a book of three orders under the first key."""

    async def fill() -> None:
        book = OrderBook.open(f"sqlite:///{tmp_path}/book.db", Vault(FIRST), SystemClock())
        await book.migrate()
        await book.claim([paid_order(f"T{number:05}") for number in range(3)])
        await book.close()

    asyncio.run(fill())
    return tmp_path


def test_a_rotation_from_the_first_look_to_the_old_keys_end(folder: Path):
    both = environment(folder, SECOND, FIRST)

    looked = topup("keys", "status", environment=both)
    assert looked.returncode == 0
    assert "run `topup keys rotate`" in said(looked)

    dry = topup("keys", "rotate", "--dry-run", environment=both)
    assert (dry.returncode, dry.stdout) == (0, "3 rows would be re-encrypted under the current key.\n")
    done = topup("keys", "rotate", "--json", environment=both)
    assert json.loads(done.stdout) == {"dry_run": False, "rows": 3, "unreadable": []}

    after = topup("keys", "status", "--json", environment=both)
    assert [(use["role"], use["vehicles"]) for use in json.loads(after.stdout)] == [("current", 3), ("old", 0)]
    assert "may leave TOPUP_PII_OLD_KEYS" in said(after)
    assert topup("keys", "status", environment=environment(folder, SECOND)).returncode == 0


def test_a_missing_key_is_named_and_nothing_is_lost(folder: Path):
    stranger = environment(folder, SECOND)

    looked = topup("keys", "status", environment=stranger)
    assert looked.returncode == 1
    assert "is needed and not configured: add it to TOPUP_PII_OLD_KEYS" in said(looked)
    done = topup("keys", "rotate", environment=stranger)
    assert done.returncode == 1
    assert "3 rows can't be read" in said(done)
    assert "T00000, T00001, T00002" in said(done)
    assert json.loads(topup("keys", "rotate", "--json", environment=environment(folder, SECOND, FIRST)).stdout)[
        "rows"
    ] == 3  # fmt: skip


def test_no_key_and_no_vehicle_is_in_what_the_commands_print(folder: Path):
    both = environment(folder, SECOND, FIRST)

    for command in (("keys", "status"), ("keys", "status", "--json"), ("keys", "rotate"), ("keys", "rotate", "--json")):
        done = topup(*command, environment=both)
        shown = done.stdout + done.stderr
        assert VIN not in shown
        assert not any(key and key in shown for key in (both["TOPUP_PII_KEY"], both["TOPUP_PII_OLD_KEYS"]))
