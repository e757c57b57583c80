"""`topup orders goodwill`: money given back after a delivery, by two persons (`orders.goodwill`).

Every word is written in the order book before anything follows from it. What was decided is carried out by a run of its
own, which is started here, and by the sweep where that fails.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any, Final

from temporalio.client import Client
from temporalio.service import RPCError

from activities.reopening import Reopened
from adapters.order_book.book import OrderBook
from adapters.order_book.worked_on import WorkedOn
from console import runs
from console.by_hand import reopening_by_hand
from console.connecting import order_book, temporal_client
from console.display import out, print_json
from console.exits import CommandFailed, Exit, say
from console.settings import GoodwillSettings
from orders import four_eyes, goodwill
from orders.errors import TopUpError
from orders.goodwill import Goodwill, Word
from orders.identities import REFUND_NOTICE, goodwill_name, goodwill_of, workflow_id
from workflows.requests import MOST_CHARACTERS

OF_AN_ORDER: Final = "Goodwill is given on an order: name the order, for example T20230821183406000001."


async def give(
    settings: GoodwillSettings, order_id: str, amount_fen: int, word: dict[str, str], *, as_json: bool
) -> None:
    """Write one person's word; the second one's starts the run that pays.

    Raises:
        CommandFailed: refused; nothing was changed.
    """
    _must_be_fit(settings, order_id, word)

    async with _book(settings) as book:
        rule = partial(goodwill.ask, amount_fen=amount_fen, operator=word["operator"], note=word["note"])
        decided = await book.goodwill.ask(order_id, rule, detail=partial(_detail, amount_fen, word))
        one = decided.goodwill
        if one is None:
            raise CommandFailed(decided.says)
        says = _said(decided, one)
        if decided.became != "proposed" and one.refund.outcome is None:
            await _start(settings, book, one.name)
    _answer(one, decided.became, says, as_json=as_json)


async def give_up(
    settings: GoodwillSettings, order_id: str, number: int, word: dict[str, str], *, as_json: bool
) -> None:
    """Write that one which the provider has definitely refused is not paid, and have its run look at that now.

    Raises:
        CommandFailed: refused; nothing was changed.
    """
    _must_be_fit(settings, order_id, word)
    name = goodwill_name(order_id, number)
    async with _book(settings) as book:
        refusal = await WorkedOn(book).decide(
            name,
            lambda stored: goodwill.give_up(stored.state, word["operator"], word["note"]),
            kind="given_up",
            detail=lambda refusal: {**word, **({"refused": refusal} if refusal else {})},
        )
        if refusal:
            raise CommandFailed(refusal)
        one = (await book.goodwill.read(name)).goodwill
        await _start(settings, book, name)
    says = f"Recorded: {name} is given up. The provider is asked a last time: `topup orders show {name}`."
    _answer(one, "confirmed", says, as_json=as_json)


def shown(one: Goodwill, now: datetime) -> dict[str, Any]:
    """As `topup orders show` has it."""
    return {
        "name": one.name,
        "number": one.number,
        "amount_fen": one.amount_fen,
        "stands": one.stands,
        "asked_by": one.asked_by,
        "asked_at": one.asked_at,
        "asked_note": one.asked_note,
        "approved_by": one.approved_by,
        "approved_at": one.approved_at,
        "approved_note": one.approved_note,
        "proposal": "" if one.is_approved else four_eyes.open_proposal(one.refund, now),
        "reason": "" if one.refund.outcome else one.refund.reason,
    }


def line(one: Mapping[str, Any]) -> str:
    """What `shown` has made of one, in a line."""
    persons = " and ".join(who for who in (one["asked_by"], one["approved_by"]) if who)
    notes = "; ".join(dict.fromkeys(why for why in (one["asked_note"], one["approved_note"]) if why))
    stands = one["stands"].replace("_", " ")
    why = one["proposal"] or one["reason"]
    said = f"goodwill {one['number']}: {one['amount_fen']} fen, {stands}, by {persons}: {notes}"
    return f"{said} ({why})" if why else said


def _must_be_fit(settings: GoodwillSettings, order_id: str, word: dict[str, str]) -> None:
    if goodwill_of(order_id) is not None:
        raise CommandFailed(OF_AN_ORDER, code=Exit.WRONG_USAGE)
    for member, most in MOST_CHARACTERS.items():
        if len(word[member]) > most:
            raise CommandFailed(f"The {member} has more than {most} characters: shorten it.", code=Exit.WRONG_USAGE)
    if settings.restored_at is not None:
        raise CommandFailed(
            "The order book comes from a backup (TOPUP_RESTORED_AT) and may have forgotten what was given back: wait "
            "until docs/restore.md says that it is unset. Nothing was done."
        )


def _detail(amount_fen: int, said: dict[str, str], word: Word) -> dict[str, Any]:
    more = {
        "refused": {"refused": word.says},
        "proposed": {"two_persons": "proposed", **({"replaces": word.replaced} if word.replaced else {})},
        "confirmed": {"two_persons": f"confirmed what {word.goodwill.asked_by} proposed"} if word.goodwill else {},
        "repeated": {},
    }[word.became]
    number = {"goodwill": word.goodwill.number} if word.goodwill else {}
    return {**number, "amount_fen": amount_fen, **said, **more}


def _said(word: Word, one: Goodwill) -> str:
    what = f"{one.amount_fen} fen of order {one.order_id}"
    match word.became:
        case "proposed":
            return (
                f"Goodwill {one.number}, {what}: {word.says}. Nothing follows yet: another operator must give the same "
                f"command (--amount-fen {one.amount_fen})."
            )
        case "confirmed":
            return f"Goodwill {one.number}, {what}, is decided: `topup orders show {one.name}`."
        case _:
            return (
                f"That is goodwill {one.number}, {what}, which {one.asked_by} and {one.approved_by} have decided, and "
                f"which is {one.stands.replace('_', ' ')}. Nothing more was done; for another one give another reason."
            )


async def _start(settings: GoodwillSettings, book: OrderBook, name: str) -> None:
    """Have a run carry it out, or the one that there is ask now; where that fails, the sweep starts one."""
    try:
        client = await temporal_client(settings)
        reopening = reopening_by_hand(client, book, settings)
        if await reopening.reopen(name) is Reopened.RUNNING:
            await _ask_now(client, name)
    except (RPCError, CommandFailed) as error:
        why = runs.failed(error, name) if isinstance(error, RPCError) else error
        say(f"{why.sentences[0]} It is written all the same: the sweep starts its run within 10 min.")


async def _ask_now(client: Client, name: str) -> None:
    await client.get_workflow_handle(workflow_id(name)).signal(REFUND_NOTICE)


def _answer(one: Goodwill, became: str, says: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"order_id": one.order_id, "goodwill": one.number, "became": became, "ok": True, "says": says})
        return
    out.print(says, markup=False, soft_wrap=True)


@asynccontextmanager
async def _book(settings: GoodwillSettings) -> AsyncGenerator[OrderBook, None]:
    async with order_book(settings) as book:
        assert book is not None, "GoodwillSettings has checked it"
        try:
            yield book
        except TopUpError as error:
            raise CommandFailed(str(error)) from error
