"""`topup doctor`: each part asked side by side, a sentence each with the next step where something is wrong."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from adapters import http
from adapters.carriers.settings import CarrierAccess
from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from adapters.payments.settings import RefundSettings
from configuration.processes import DoctorSettings
from console import health_kafka, health_temporal
from console.connecting import database_away, kafka_away, order_book, temporal_away, temporal_client
from console.display import Step
from console.exits import CommandFailed
from console.health_mqtt import let_in
from console.health_temporal import CLOCK_SECONDS, skewed
from console.stranded import LONG, unsettled
from orders.errors import TopUpError
from runtime.clock import SystemClock
from runtime.redaction import in_one_line
from runtime.settings import ProcessSettings, variables_of
from runtime.temporal import check, connect

QUESTION_SECONDS: Final = 15.0
NAMED: Final = 3
Says = str | Step
"""A sentence where all is well, else the failed step."""
_NO_DATABASE: Final = "No database is configured: set TOPUP_DATABASE_URL, for example sqlite:///topup.db."
_NO_KAFKA: Final = "No Kafka is configured: set TOPUP_KAFKA_BOOTSTRAP_SERVERS, for example 127.0.0.1:9092."


async def examine(settings: DoctorSettings) -> list[Step]:
    """Ask every part that is configured, side by side; what is not configured is a failed step too."""
    groups = await asyncio.gather(
        _book_steps(settings),
        _temporal_steps(settings),
        _order_steps(settings),
        _kafka_steps(settings),
        _world_steps(settings),
    )
    return [step for steps in groups for step in steps]


async def _temporal_steps(settings: DoctorSettings) -> list[Step]:
    away = _temporal_away(settings)
    first = await _ask("temporal", _temporal(settings), away)
    if not first.ok:
        return [first]
    client = await temporal_client(settings)
    questions = (
        _ask("search attributes", health_temporal.search_attributes(client), away),
        _ask("schedule", health_temporal.schedule(client, settings), away),
        _ask("clock", health_temporal.clock(client), away),
        _ask("runs that fail", health_temporal.failing(client, settings), away),
    )
    workers = await _ask_all("worker", health_temporal.pollers(client, settings), away)
    return [first, *workers, *await asyncio.gather(*questions)]


async def _kafka_steps(settings: DoctorSettings) -> list[Step]:
    if not settings.kafka_bootstrap_servers:
        return [await _missing("kafka", _NO_KAFKA)]

    def ask(part: str, question: Callable[[DoctorSettings], Says]) -> Awaitable[Step]:
        return _ask(part, asyncio.to_thread(question, settings), lambda error: kafka_away(settings, error))

    first = await ask("kafka", health_kafka.topics)
    if not first.ok:
        return [first]
    rights = ask("kafka rights", lambda asked: health_kafka.rights(asked, asked.kafka_unmatched_topic))
    return [first, await rights, await ask("bridge", health_kafka.group)]


async def _world_steps(settings: DoctorSettings) -> list[Step]:
    questions: list[Awaitable[Step]] = [
        _http("carrier", settings.carrier, "The carrier")
        if settings.carrier.url
        else _missing("carrier", "No carrier is configured: set TOPUP_CARRIER_URL and TOPUP_CARRIER_TOKEN."),
    ]
    questions += [_http(name, provider, provider.title) for name, provider in settings.payments.items()]
    if not settings.payments:
        questions.append(
            _missing(
                "payments", "No payment provider is configured: set all variables of one (README.md, Configuration)."
            )
        )
    for broker in settings.mqtt_brokers:
        name = f"The MQTT platform {broker.name}"
        questions.append(_ask(f"mqtt {broker.name}", let_in(broker), _away(name, "TOPUP_MQTT_BROKERS")))
    if not settings.mqtt_brokers:
        questions.append(_missing("mqtt", "No MQTT platform is configured: set TOPUP_MQTT_BROKERS."))
    return await asyncio.gather(*questions)


async def _book_steps(settings: DoctorSettings) -> list[Step]:
    if not settings.database_url:
        return [await _missing("database", _NO_DATABASE)]
    # The schema and the clock are no vehicle's data: they need no key.
    book = OrderBook.open(settings.database_url, FieldCipher(settings.pii_key or bytes(32)), SystemClock())

    async def look() -> Says:
        seen = await book.look()
        if seen.version != seen.newest_version:
            have = f"version {seen.version}" if seen.version else "no tables"
            sentence = f"The order book has {have}, this product needs {seen.newest_version}: run `topup setup`."
            return Step("database", ok=False, says=sentence)
        if abs(seen.clock_ahead_seconds) > CLOCK_SECONDS:
            return Step("database", ok=False, says=skewed("The database", seen.clock_ahead_seconds))
        if seen.rights_missing:
            lacks = ", ".join(seen.rights_missing)
            sentence = f"This role lacks {lacks}: as the owner, run `topup setup --process-role NAME` again."
            return Step("database", ok=False, says=sentence)
        trail = "may change" if seen.rewrites_trail else "can't change"
        return (
            f"The order book answers, has schema {seen.version}, its clock agrees with this machine's, and this user "
            f"{trail} what its audit trail says."
        )

    try:
        first = await _ask("database", look(), _database_away)
        if not first.ok:
            return [first]
        return [first, *[await _ask(part, question(book), _database_away) for part, question in _BOOK_QUESTIONS]]
    finally:
        await book.close()


async def _held(book: OrderBook) -> Says:
    sentences = [f"{hold.sentence()}." for hold in await book.holds.not_released()]
    if not sentences:
        return "Neither carrier nor provider is held."
    return Step("holds", ok=False, says=" ".join([*sentences, "Orders wait for it: `topup hold release`."]))


async def _open_letters(book: OrderBook) -> Says:
    count = (await book.kept.open_counts()).dead_letters
    return _count_step("dead letters", count, "`topup dlq list --open`, each may be a paid order")


async def _open_payments(book: OrderBook) -> Says:
    count = (await book.kept.open_counts()).unmatched_payments
    return _count_step("unmatched payments", count, "`topup payments list`, each is somebody's money")


_BOOK_QUESTIONS: Final = (
    ("holds", _held),
    ("dead letters", _open_letters),
    ("unmatched payments", _open_payments),
)


async def _order_steps(settings: DoctorSettings) -> list[Step]:
    async with order_book(settings) as book:
        if book is None:
            return [await _missing("orders", "Set TOPUP_DATABASE_URL and TOPUP_PII_KEY to have the orders looked at.")]

        async def look() -> list[Step]:
            found = await unsettled(await temporal_client(settings), book, settings)
            oldest = f", the oldest since {found.oldest:%Y-%m-%d %H:%M} UTC" if found.oldest else ""
            blocked = sum(one.run == "foreign" for one in found.stranded)
            return [
                Step("orders", ok=True, says=f"{found.count} are paid and not settled yet{oldest}."),
                _count_step(
                    "orders nobody works on",
                    len(found.stranded) - blocked,
                    "`topup orders reopen --stranded --dry-run`",
                ),
                _count_step(
                    "orders behind another's run",
                    blocked,
                    "`topup orders list --stranded`, which says what to terminate",
                ),
                _count_step("orders that need a person", found.need_an_operator, "`topup orders list`"),
                _long_step("orders not settled for long", found.slow, "The carrier does not settle the order"),
                _long_step("refunds not confirmed for long", found.refunds, "The refund is silent"),
            ]

        return await _ask_all("orders", look(), partial(_not_compared, settings))


def _not_compared(settings: ProcessSettings, error: BaseException) -> str:
    if isinstance(error, TimeoutError):  # of the whole comparison: neither side alone is to blame
        return (
            f"The order book and Temporal could not be compared within {QUESTION_SECONDS:g} s: one of them is slow, or "
            "many orders wait; look at the load of both and of this host, and ask again."
        )
    return temporal_away(settings, error)


def _count_step(part: str, count: int, see: str) -> Step:
    return Step(part, ok=not count, says=f"There are {count}: see {see}." if count else "There is none.")


def _long_step(part: str, order_ids: Sequence[str], section: str) -> Step:
    if not order_ids:
        return Step(part, ok=True, says="There is none.")
    named = ", ".join(order_ids[:NAMED]) + (", …" if len(order_ids) > NAMED else "")
    hours = LONG.total_seconds() / 3600
    sentence = (
        f"There are {len(order_ids)} that have waited for more than {hours:g} h while nobody is called ({named}): see "
        f"`topup orders show {order_ids[0]}`, and docs/runbook.md, {section}."
    )
    return Step(part, ok=False, says=sentence)


async def _ask(part: str, question: Awaitable[Says], away: Callable[[BaseException], str]) -> Step:
    async def one() -> list[Step]:
        says = await question
        return [says if isinstance(says, Step) else Step(part, ok=True, says=says)]

    [step] = await _ask_all(part, one(), away)
    return step


async def _ask_all(part: str, question: Awaitable[list[Step]], away: Callable[[BaseException], str]) -> list[Step]:
    try:
        return await asyncio.wait_for(question, QUESTION_SECONDS)
    except CommandFailed as failure:
        return [Step(part, ok=False, says=failure.sentences[0])]
    except TopUpError as error:
        return [Step(part, ok=False, says=str(error))]
    except Exception as error:  # noqa: BLE001 - every part's client has its own errors
        return [Step(part, ok=False, says=away(error))]


async def _missing(part: str, sentence: str) -> Step:
    return Step(part, ok=False, says=sentence)


_database_away: Final = partial(database_away, limit_seconds=QUESTION_SECONDS)


def _temporal_away(settings: ProcessSettings) -> Callable[[BaseException], str]:
    return lambda error: temporal_away(settings, error)


def _away(name: str, variable: str) -> Callable[[BaseException], str]:
    return lambda error: f"{name} does not answer ({in_one_line(error)}): start it, or set {variable}."


def _http(part: str, access: CarrierAccess | RefundSettings, name: str) -> Awaitable[Step]:
    names = {variable.field: variable.name for variable in variables_of(type(access))}

    def away(error: BaseException) -> str:
        if (found := http.untrusted(error)) is not None:
            return f"{name}'s certificate is not trusted ({found.verify_message}): see {names['cafile']}."
        return _away(name, names["url"])(error)

    return _ask(part, _answers(access, name), away)


async def _temporal(settings: DoctorSettings) -> Says:
    client = await connect(settings)
    await check(client)
    return f"Temporal answers at {settings.temporal.address}, namespace {settings.temporal.namespace}."


async def _answers(access: CarrierAccess | RefundSettings, name: str) -> Says:
    """Asked as the worker asks. Any HTTP answer counts: this asks for nothing that could move money."""
    async with http.client(cafile=access.cafile) as client:
        answer = await client.head(access.url, timeout=QUESTION_SECONDS)
    return f"{name} answers at {urlsplit(access.url).netloc} (HTTP {answer.status_code})."
