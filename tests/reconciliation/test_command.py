"""`topup reconcile` against simulated providers and a simulated carrier, over the wire, as an operator runs it."""

import asyncio
import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from console import reconciling
from console.main import run
from orders.attachment import Purchase, make_attachment
from orders.paid_order import Vehicle
from reconciliation.days import after, day_of
from tests.limits import WAIT_SECONDS
from tests.reconciliation.world import PRICE_FEN, HandClock, World, opened
from tests.runtime import environments
from tests.simulators.processes import ROOT, start

DAY = after(day_of(datetime.now(UTC)), -5)
PAID_AT = f"{DAY}T12:00:00+08:00"
KEY = bytes(range(32))


class Outside:
    """The simulators, and how they are told what happens."""

    def __init__(self, folder: Path) -> None:
        keys = folder / "keys"
        subprocess.run(
            [sys.executable, "-m", "simulators", "keys", "--out", keys], cwd=ROOT, check=True, timeout=WAIT_SECONDS
        )
        self._processes = {
            "wechat": start("wechat", "--keys", keys, "--settle-seconds", "0"),
            "alipay": start("alipay", "--keys", keys),
            "carrier": start("carrier", "--token", "carrier-token"),
        }
        self.urls = {name: process.url(name) for name, process in self._processes.items()}
        self.environ = json.loads((keys / "settings.json").read_text()) | {
            "TOPUP_WECHAT_URL": self.urls["wechat"],
            "TOPUP_ALIPAY_URL": f"{self.urls['alipay']}/gateway.do",
            "TOPUP_CARRIER_URL": self.urls["carrier"],
            "TOPUP_CARRIER_TOKEN": "carrier-token",
            "TOPUP_DATABASE_URL": f"sqlite:///{folder}/book.db",
        }

    def tell(self, simulator: str, path: str, content: object, method: str = "PUT") -> None:
        httpx.request(method, f"{self.urls[simulator]}{path}", json=content, trust_env=False).raise_for_status()

    def pays(self, provider: str, name: str, amount_fen: int = PRICE_FEN) -> None:
        payment = {"amount_fen": amount_fen, "out_trade_no": name, "paid_at": PAID_AT}
        self.tell(provider, f"/payments/42{name}", payment)

    def stop(self) -> None:
        for process in self._processes.values():
            process.stop()


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    started = Outside(tmp_path)
    yield started
    started.stop()


@pytest.fixture
def reconcile(outside: Outside, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    for name, value in outside.environ.items():
        monkeypatch.setenv(name, value)

    def command(*words: str) -> tuple[int, str]:
        code = run(["reconcile", *words])
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    return command


async def write_the_book(url: str, seeded: Callable[[World], None]) -> None:
    clock = HandClock()
    async with opened(url, clock) as book:
        world = World(book, clock, seed=1)
        for name, variable in (("wechat", "1900000109"), ("alipay", "2088102146225135")):
            world.providers[name].merchant_id = variable
        seeded(world)
        await world.until(datetime.now(UTC))


@pytest.mark.slow
def test_a_day_is_reconciled_over_the_wire_from_bills_to_a_note(
    outside: Outside, reconcile: Callable[..., tuple[int, str]]
):
    paid = datetime.fromisoformat(PAID_AT)
    refused_on = paid + timedelta(hours=1)
    names = {what: f"T{what.upper()}" for what in ("delivered", "alipay1", "nobill00", "refused1", "sold0000")}

    def seeded(world: World) -> None:
        for what, name in names.items():
            world.claims(name, "alipay" if what == "alipay1" else "wechat", paid, paid)
        for what in ("delivered", "alipay1"):
            world.delivers(names[what], paid + timedelta(minutes=5))
        world.refuses(names["refused1"], refused_on)
        world.refuses(names["sold0000"], refused_on)
        world.refund_confirmed(names["refused1"], refused_on, refused_on)

    asyncio.run(write_the_book(outside.environ["TOPUP_DATABASE_URL"], seeded))
    for what, name in names.items():
        outside.pays("alipay" if what == "alipay1" else "wechat", name)
    vehicle = Vehicle(vin="LSGBC5342AG000001", iccid="89860321247550000015")
    attach = make_attachment(KEY, Purchase(vehicle, "CT-DATA-10GB-30D"), out_trade_no="TLATE0000", amount_fen=PRICE_FEN)
    late = {
        "amount_fen": PRICE_FEN,
        "out_trade_no": "TLATE0000",
        "notify_url": "http://127.0.0.1:9/",
        "attach": attach,
        "transaction_id": "42TLATE0000",
        "paid_at": PAID_AT,
    }
    outside.tell("wechat", "/pay", late, "POST")
    refund_line = {
        "kind": "refund",
        "transaction_id": "42TREFUSED1",
        "out_trade_no": "TREFUSED1",
        "amount_fen": PRICE_FEN,
        "refund_no": "RTREFUSED1",
    }
    plan: dict[str, Any] = {"omit": ["42TNOBILL00"], "add": [refund_line]}
    outside.tell("wechat", f"/bills/{DAY}", plan | {"state": "wrong_hash"})
    sold = dict.fromkeys(("TDELIVERED", "TALIPAY1", "TSOLD0000"), f"{DAY}T05:00:00+00:00")
    outside.tell("carrier", "/statement", {"add": sold})

    code, said = reconcile("run", "--day", DAY)
    assert (code, "SHA1" in said) == (2, True), said
    outside.tell("wechat", f"/bills/{DAY}", plan | {"state": "creating"})
    assert reconcile("run", "--day", DAY, "--provider", "wechat")[0] == 2
    outside.tell("wechat", f"/bills/{DAY}", plan)

    code, said = reconcile("run", "--day", DAY, "--json")
    report, _ = json.JSONDecoder().raw_decode(said)
    kinds = {one["id"]: one["kind"] for one in report["open"]}
    assert code == 1, said
    assert kinds == {
        "payment:wechat:42TNOBILL00": "timing",
        "payment:wechat:42TLATE0000": "timing",
        "order:TSOLD0000": "sold_after_refusal",
        "refund:wechat:RTREFUSED1": "refund_missing",  # the provider knows no such refund: the line is its only trace
    }
    assert (report["not_whole"], report["put"]) == ({}, 0)

    for later in (1, 2):
        assert reconcile("run", "--day", after(DAY, later))[0] == 0
    code, said = reconcile("run", "--day", DAY)
    assert code == 1
    assert "can't write to Kafka" in said
    _, shown = reconcile("show", "--open", "--csv")
    rows = {row["id"]: row for row in csv.DictReader(io.StringIO(shown))}
    assert rows["payment:wechat:42TNOBILL00"]["kind"] == "order_without_payment"
    assert rows["payment:wechat:42TLATE0000"]["kind"] == "payment_without_order"

    for name in rows:
        assert reconcile("resolve", name, "--note", "ticket 4711", "--operator", "li")[0] == 0
    assert reconcile("resolve", "order:TSOLD0000", "--note", "again", "--operator", "li")[0] == 1
    assert reconcile("run", "--day", DAY)[0] == 0
    _, shown = reconcile("show", "--day", DAY, "--json")
    assert {one["state"] for one in json.loads(shown)} == {"resolved"}

    code, shown = reconcile("summary", "--day", DAY, "--json")
    page = json.loads(shown)
    assert code == 0
    assert (page["paid"]["count"], page["delivered"]["count"], page["refunded"]["count"]) == (6, 2, 1)
    assert (page["in_flight"]["count"], page["in_none_of_the_books"]["fen"], page["left_over_fen"]) == (2, PRICE_FEN, 0)
    assert reconcile("summary", "--day", DAY)[0] == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("run", "--day", "yesterday"), "--day 2026-11-27"),
        (("run", "--day", "2026-02-30"), "--day 2026-11-27"),
        (("run", "--day", "2999-01-01"), "is not over"),
        (("show", "--json", "--csv"), "not both"),
        (("resolve", "order:T1", "--operator", "li"), "Say why"),
    ],
)
def test_a_wrong_use_is_told_with_exit_2(words, says, monkeypatch, capsys, tmp_path):
    environ = {
        "TOPUP_DATABASE_URL": f"sqlite:///{tmp_path}/book.db",
        "TOPUP_CARRIER_URL": "http://127.0.0.1:9",
        "TOPUP_CARRIER_TOKEN": "t",
    }
    if words[0] == "run":
        environ |= environments.worker()
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert run(["reconcile", *words]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("word", ["=1+1", "+1", "-1", "@x", " =1", "\t=1", "\r\n=1", "＝1+1", "＋1", "－1", "＠x"])
def test_an_operators_note_is_no_formula_of_a_spreadsheet(word: str):
    assert str(reconciling._cell(word)).startswith("'")
    assert reconciling._cell("ticket 4711 = paid") == "ticket 4711 = paid"
