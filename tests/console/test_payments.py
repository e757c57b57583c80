"""`topup payments settle` and `refund` of several: each decided by itself, by two persons where two are demanded."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from console import ending, main
from console.exits import Exit
from console.unmatched import Answer
from orders.errors import TopUpError, Unavailable
from runtime.clock import SystemClock
from tests.adapters.book_process import KEY
from tests.adapters.test_kept import record

NAMES = [f"wechat:{number}" for number in (4001, 4002, 4003)]
NOTE = ("--note", "refunded at the merchant platform, no. 4711")
Shell = Callable[..., Any]


@pytest.fixture
async def book(tmp_path: Path) -> AsyncIterator[OrderBook]:
    """With three payments that became no order."""
    opened = OrderBook.open(f"sqlite:///{tmp_path}/book.db", FieldCipher(KEY), SystemClock())
    await opened.migrate()
    payments = [record(transaction_id=name.partition(":")[2], out_trade_no=f"T{name[-4:]}") for name in NAMES]
    await opened.kept.keep(payments, [], {})
    yield opened
    await opened.close()


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Runs a command with the environment of an operator; its exit code, what it prints, and what it says."""
    monkeypatch.setenv("TOPUP_DATABASE_URL", f"sqlite:///{tmp_path}/book.db")
    monkeypatch.setenv("TOPUP_PII_KEY", base64.b64encode(KEY).decode())
    monkeypatch.setenv("TOPUP_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")

    async def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = await asyncio.to_thread(main.run, ["payments", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


async def stands(shell: Shell) -> list[str]:
    _, listed, _ = await shell("list", "--all", "--json")
    return sorted(f"{one['payment']} {one['stands']}" for one in json.loads(listed))


async def test_several_are_ended_once_their_count_is_confirmed_with_a_line_for_each(
    book: OrderBook, shell: Shell, tmp_path: Path
):
    names = tmp_path / "names.txt"
    names.write_text("\n".join([*NAMES[1:], "", NAMES[0], "wechat:4999"]))
    several = ("settle", NAMES[0], "--file", str(names), *NOTE)

    assert [(await shell(*several, *more))[0] for more in ((), ("--yes", "3"))] == [2, 2]
    code, shown, said = await shell("settle", *NAMES, *NOTE, "--dry-run")
    assert (code, "--yes 3" in said, all(name in shown for name in NAMES)) == (0, True, True)
    assert await stands(shell) == [f"{name} open" for name in NAMES], "nothing was done"

    code, shown, _ = await shell(*several, "--yes", "4")

    assert (code, "3 taken, 1 not done." in shown) == (1, True), shown
    assert "wechat:4999 not done: " in shown
    assert all(f"{name}: {name} is noted as settled elsewhere." in shown for name in NAMES)
    assert await stands(shell) == [f"{name} settled elsewhere" for name in NAMES]


async def test_two_persons_end_each_of_them_and_one_of_them_none(
    book: OrderBook, shell: Shell, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TOPUP_TWO_PERSONS", "true")
    several = ("settle", *NAMES, *NOTE, "--yes", "3", "--json", "--operator")

    for _ in range(2):
        code, shown, _ = await shell(*several, "li")
        assert (code, json.loads(shown)["ok"]) == (0, True)
        assert ["proposes" in one["says"] for one in json.loads(shown)["payments"]] == [True] * 3
        assert await stands(shell) == [f"{name} open" for name in NAMES]

    assert (await shell("settle", NAMES[0], *NOTE, "--operator", "wang"))[0] == 0
    assert await stands(shell) == [f"{NAMES[0]} settled elsewhere", *(f"{name} open" for name in NAMES[1:])]
    code, shown, _ = await shell(*several, "wang")
    assert (code, [one["ok"] for one in json.loads(shown)["payments"]]) == (1, [False, True, True]), shown
    assert "settled" in json.loads(shown)["payments"][0]["says"], "it was ended before"
    assert await stands(shell) == [f"{name} settled elsewhere" for name in NAMES]


async def test_a_refusal_ends_nothing_and_a_book_that_is_away_ends_it(capsys: pytest.CaptureFixture[str]):
    asked: list[str] = []
    answers: list[TopUpError | None] = [TopUpError("was ended before"), None, Unavailable("can't be reached")]

    async def end(named: tuple[str, str]) -> Answer:
        asked.append(named[1])
        if (error := answers.pop(0)) is not None:
            raise error
        return Answer(":".join(named), "", "noted")

    code = await ending.end_each([("wechat", str(number)) for number in range(5)], end, as_json=False)

    assert (code, asked) == (Exit.NOT_OK, ["0", "1", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[2].split(":")[0] for line in lines[:-1]] == [
        "0 not done", "1", "2 not done", "3 not done", "4 not done",
    ]  # fmt: skip
    assert lines[-1] == "1 taken, 4 not done."
