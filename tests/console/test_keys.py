"""`topup keys`: what an operator sees and does in a rotation of the order book's keys."""

import asyncio
import base64
import json
import re
import subprocess
from pathlib import Path

import pytest

from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from devkit.servers.process import unique
from devkit.servers.temporal import Temporal
from runtime.clock import SystemClock
from tests.adapters.book_process import VIN, paid_order
from tests.console.test_commands import COMMANDS, said, topup
from workflows.steps import Start, TopUpInput

ROOT = Path(__file__).resolve().parents[2]

FIRST, SECOND = bytes(range(32)), bytes(range(32, 64))


def environment(folder: Path, current: bytes, *old: bytes) -> dict[str, str]:
    texts = [base64.b64encode(key).decode() for key in (current, *old)]
    url = f"sqlite:///{folder}/book.db"
    return {"TOPUP_DATABASE_URL": url, "TOPUP_PII_KEY": texts[0], "TOPUP_PII_OLD_KEYS": ",".join(texts[1:])}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a book of three orders under the first key."""

    async def fill() -> None:
        book = OrderBook.open(f"sqlite:///{tmp_path}/book.db", FieldCipher(FIRST), SystemClock())
        await book.migrate()
        await book.claim([paid_order(f"T{number:05}") for number in range(3)])
        await book.close()

    asyncio.run(fill())
    return tmp_path


def keys(*words: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`topup keys …`, which shows no key and nothing of a vehicle, whatever happens."""
    done = topup("keys", *words, environment=environment)
    secrets = [VIN, environment["TOPUP_PII_KEY"], *environment["TOPUP_PII_OLD_KEYS"].split(",")]
    assert not [one for one in secrets if one and one in done.stdout + done.stderr]
    return done


@pytest.mark.slow
def test_a_rotation_from_the_first_look_to_the_old_keys_end(folder: Path):
    both = environment(folder, SECOND, FIRST)

    looked = keys("status", environment=both)
    assert looked.returncode == 0
    assert "run `topup keys rotate`" in said(looked)

    dry = keys("rotate", "--dry-run", environment=both)
    assert (dry.returncode, dry.stdout) == (0, "3 rows would be re-encrypted under the current key.\n")
    done = keys("rotate", "--json", environment=both)
    assert json.loads(done.stdout) == {"dry_run": False, "rows": 3, "unreadable": []}

    after = keys("status", "--json", environment=both)
    assert [(use["role"], use["vehicles"]) for use in json.loads(after.stdout)] == [("current", 3), ("old", 0)]
    assert "may leave TOPUP_PII_OLD_KEYS" in said(after)


@pytest.mark.slow
def test_a_missing_key_is_named_and_nothing_is_lost(folder: Path):
    stranger = environment(folder, SECOND)

    looked = keys("status", environment=stranger)
    assert looked.returncode == 1
    assert "is needed and not configured: add it to TOPUP_PII_OLD_KEYS" in said(looked)
    done = keys("rotate", environment=stranger)
    assert done.returncode == 1
    assert "3 rows can't be read" in said(done)
    assert "T00000, T00001, T00002" in said(done)


@pytest.mark.slow
@pytest.mark.real
def test_a_vehicles_orders_are_found_whatever_key_their_runs_are_filed_under(folder: Path, temporal_server: Temporal):
    """Three under the first key: two with a run, whose search attribute keeps the old hash, one without (any more)."""
    names = [unique("T")[:32] for _ in range(3)]

    async def claim_and_start() -> None:
        book = OrderBook.open(f"sqlite:///{folder}/book.db", FieldCipher(FIRST), SystemClock())
        other = paid_order("T99999", vehicle={"vin": "LSGBC5342AG000002", "iccid": "89860321247550000016"})
        await book.claim([*(paid_order(name) for name in names), other])
        client = await temporal_server.connect()
        for name in names[:2]:
            asked = TopUpInput(order_id=name, package_id="CT-DATA-10GB-30D", amount_fen=9900, provider="wechat")
            await client.start_workflow(**Start(asked, FieldCipher(FIRST).vehicle_hash(VIN)).arguments(unique("queue")))
        await book.close()

    asyncio.run(claim_and_start())
    server = {"TEMPORAL_ADDRESS": temporal_server.address, "TEMPORAL_NAMESPACE": temporal_server.namespace}
    rotated = environment(folder, SECOND) | server
    assert keys("rotate", environment=environment(folder, SECOND, FIRST)).returncode == 0

    done = topup("orders", "of-vehicle", "--json", environment=rotated, stdin=f"{VIN}\n")

    assert {order["order_id"] for order in json.loads(done.stdout)} == set(names[:2])
    assert names[2] in said(done)
    assert "T99999" not in done.stdout + done.stderr
    assert VIN not in done.stdout + done.stderr


@pytest.mark.parametrize("document", ["keys.md", "restore.md", "runbook.md", "versions.md", "carrier-flat.md"])
def test_every_command_that_a_document_names_exists(document: str):
    text = (ROOT / "docs" / document).read_text()
    named = set(re.findall(r"topup ((?:orders|keys|dlq) [a-z-]+|setup|doctor|worker|bridge|demo|dev)\b", text))

    for command in named:
        assert tuple(command.split()) in COMMANDS, command
    assert named or document == "carrier-flat.md"
