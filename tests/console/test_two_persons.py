"""What became no order is ended by two persons where two are demanded: adopted, refunded, settled, discarded."""

import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from adapters.order_book.unmatched import UnmatchedRecord
from console import letters, reconciling, unmatched
from console.exits import CommandFailed
from console.settings import DlqSettings, PaymentsSettings
from orders.dead_letter import Ending, KeptLetter, Names, Source
from orders.unmatched import parse_unmatched
from runtime.clock import SystemClock
from tests.adapters.test_reconciling_book import OPEN as DIFFERENCE

KEY = bytes(range(32))
NAMED = ("wechat", "4200001923202308213518640001")
CAR = {"vin": "LSGBC5342AG000001", "iccid": "89860321247550000015"}
OTHER_CAR = {"vin": "LSGBC5342AG000002", "iccid": "89860321247550000023"}
LETTER = KeptLetter(Source("orders", 1, 3, 1692614035000), "0:1", "invalid", "why", "", Names())


class Kafka:
    """Notes the records that adoptions produce."""

    sent: list[bytes]

    def __init__(self, _settings: object) -> None:
        return

    async def send(self, _topic: str, *, key: bytes, value: bytes, headers: object) -> None:
        del key, headers
        self.sent.append(value)

    async def close(self) -> None:
        return


@asynccontextmanager
async def _desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, two: bool) -> AsyncGenerator[tuple[OrderBook, Any]]:
    """A book with one unmatched payment, and the commands' settings."""
    url = f"sqlite:///{tmp_path / 'book.db'}"
    book = OrderBook.open(url, FieldCipher(KEY), SystemClock())
    await book.migrate()
    members = {
        "schema": "topup.unmatched-payment/1",
        "provider": NAMED[0],
        "merchant_id": "1900000109",
        "out_trade_no": "T20230821183406000001",
        "transaction_id": NAMED[1],
        "amount_fen": 9900,
        "currency": "CNY",
        "paid_at": "2023-08-21T18:33:55+08:00",
        "reason": "lookup",
    }
    value = json.dumps(members).encode()
    await book.kept.keep([UnmatchedRecord(parse_unmatched(None, value), value, None, 0, 7)], [], {})
    monkeypatch.setattr(unmatched, "AcknowledgedProducer", Kafka)
    monkeypatch.setattr(Kafka, "sent", [], raising=False)
    settings = SimpleNamespace(
        database_url=url,
        pii_key=KEY,
        pii_keys=(KEY,),
        record_key=None,
        record_keys=(),
        two_persons=two,
        restored_at=None,
        kafka_topic="orders",
    )
    try:
        yield book, settings
    finally:
        await book.close()


def _said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


async def _adopt(settings: Any, operator: str, car: dict[str, str], package: str = "CT-10GB") -> None:
    said = {"operator": operator, "note": f"{operator}'s"}
    unmatched.print_answer(
        await unmatched.adopt(cast("PaymentsSettings", settings), NAMED, car, package, said), as_json=False
    )


async def _settle(settings: Any, operator: str) -> None:
    said = {"operator": operator, "note": f"{operator}'s"}
    unmatched.print_answer(await unmatched.settle(cast("PaymentsSettings", settings), NAMED, said), as_json=False)


async def _read(book: OrderBook) -> Any:
    return (await book.unmatched.read(*NAMED, lambda *_: True)).state


async def test_a_payment_is_adopted_for_a_car_and_package_that_two_persons_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """One person sold any package to any car for a stranger's payment."""
    async with _desk(tmp_path, monkeypatch, two=True) as (book, settings):
        await _adopt(settings, "li", CAR)
        assert re.search(r"li proposes adopt [0-9a-f]{32} until .* another operator must give it too", _said(capsys))
        await _adopt(settings, " LI ", CAR)
        await _adopt(settings, "wang", OTHER_CAR)
        await _adopt(settings, "li", OTHER_CAR, package="CT-100GB")
        assert (Kafka.sent, (await _read(book)).ending) == ([], "")
        assert CAR["vin"] not in _said(capsys)

        await _adopt(settings, "wang", OTHER_CAR, package="CT-100GB")
        adopted = await _read(book)
        assert (adopted.ending, adopted.ended_by, adopted.ended_note) == ("adopted", "li and wang", "li's; wang's")
        [record] = [json.loads(value) for value in Kafka.sent]
        assert (record["vehicle"], record["package_id"]) == (OTHER_CAR, "CT-100GB")

        await _adopt(settings, "chen", OTHER_CAR, package="CT-100GB")
        assert len(Kafka.sent) == 2, "said again, the same record goes again"
        await _adopt(settings, "chen", CAR)
        assert len(Kafka.sent) == 2, "for another car two persons are needed anew"


async def test_a_payment_is_settled_elsewhere_by_two_persons_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    async with _desk(tmp_path, monkeypatch, two=True) as (book, settings):
        await _settle(settings, "li")
        await _settle(settings, "Li")
        assert "proposes settled until" in _said(capsys)
        assert (await _read(book)).ending == ""
        await _settle(settings, "wang")
        assert (await _read(book)).ended_by == "Li and wang"
        with pytest.raises(CommandFailed, match="ended once"):
            await _settle(settings, "chen")


async def test_a_proposal_for_what_was_forged_is_none_for_what_is_proven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A record that nobody signed gives way to the signed one of the same payment; so does what was said of it."""
    async with _desk(tmp_path, monkeypatch, two=True) as (book, settings):
        await _settle(settings, "li")
        payment = (await _read(book)).payment
        value = payment.model_dump_json().encode()
        await book.kept.keep([UnmatchedRecord(payment, value, b"mac", 0, 8)], [], {})
        assert (await _read(book)).proposal == ""
        await _settle(settings, "wang")
        assert (await _read(book)).ending == ""


@pytest.mark.parametrize("ending", ["settled", "discarded"])
async def test_a_dead_letter_is_ended_by_two_persons_and_once(
    ending: Ending, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with _desk(tmp_path, monkeypatch, two=True) as (book, settings):

        async def end(operator: str, what: Ending = ending) -> tuple[str, str]:
            [kept] = await book.letters.listed() or [LETTER]
            one = letters.Found(kept, None, (kept.place,))
            return await letters.end(cast("DlqSettings", settings), one, what, {"operator": operator, "note": "why"})

        for operator in ("li", "LI"):
            refusal, proposal = await end(operator)
            assert refusal == ""
            assert proposal.startswith(f"{operator} proposes {ending} until ")
        other: Ending = "discarded" if ending == "settled" else "settled"
        assert (await end("wang", other))[1].startswith(f"wang proposes {other} until ")
        assert (await end("li"))[1].startswith(f"li proposes {ending} until ")
        [open_still] = await book.letters.listed(open_only=True)
        assert letters.Found(open_still, None, ("0:1",)).summary()["proposal"].startswith("li proposes")

        assert await end("wang") == ("", "")
        [ended] = await book.letters.listed()
        assert (ended.ending, ended.ended_by) == (ending, "li and wang")
        refusal, _ = await end("chen", other)
        assert "by li and wang (why) before: it is ended once" in refusal


async def test_one_person_is_enough_where_two_are_not_demanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with _desk(tmp_path, monkeypatch, two=False) as (book, settings):
        one = letters.Found(LETTER, None, ("0:1",))
        said = {"operator": "li", "note": "why"}
        assert await letters.end(cast("DlqSettings", settings), one, "settled", said) == ("", "")
        await _adopt(settings, "li", CAR)
        assert (len(Kafka.sent), (await _read(book)).ended_by) == (1, "li")


async def test_a_letter_whose_place_in_the_book_another_has_taken_is_ended_itself_and_not_that_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The bridge kept a forged letter of the same source between the operator's look and word: that one was ended."""
    genuine = KeptLetter(LETTER.source, "0:1", "invalid", "why", "", Names(order_id="GENUINE1"))
    forged = KeptLetter(LETTER.source, "2:7", "invalid", "why", "", Names(order_id="FORGED01"))
    async with _desk(tmp_path, monkeypatch, two=False) as (book, _):
        await book.kept.keep([], [forged], {})
        await book.letters.end(genuine, "settled", "li", "refunded by hand")
        by_order = {one.names.order_id: one.ending for one in await book.letters.listed()}
    assert by_order == {"GENUINE1": "settled", "FORGED01": ""}


async def test_a_difference_waits_for_a_second_person_and_the_list_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    async with _desk(tmp_path, monkeypatch, two=True) as (book, settings):
        await book.reconciliation().write([DIFFERENCE])
        one, answers = DIFFERENCE.id, list[str]()
        for operator in ("li", "wang"):
            await reconciling.resolve(settings, one, operator=operator, note="why", as_json=False)
            answers.append(_said(capsys))
            await reconciling.show(settings, "", open_only=False, shape="json")
            answers.append(json.loads(capsys.readouterr().out)[0]["proposal"])
    assert re.fullmatch(r"li proposes resolved .* until .* another operator must give it too\.", answers[0])
    assert answers[1].startswith("li proposes resolved ")
    assert answers[2:] == [f"{one} ({DIFFERENCE.kind}) is resolved by li and wang.", ""]
