"""Connections of a command to the parts, each with a limit and a sentence when there is none."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from temporalio.client import Client

from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from adapters.order_book.transactions import no_answer
from console.exits import CommandFailed
from runtime.clock import SystemClock
from runtime.redaction import in_one_line
from runtime.settings import ProcessSettings
from runtime.settings.groups import KafkaConnection, OrderBookAccess
from runtime.temporal import check, connect

KAFKA_BOOTSTRAP_MS = 5_000


async def temporal_client(settings: ProcessSettings) -> Client:
    """A client whose server answers now.

    Raises:
        CommandFailed: it does not; says what to start or set.
    """
    try:
        client = await connect(settings)
        await check(client)
    except Exception as error:
        raise CommandFailed(temporal_away(settings, error)) from error
    return client


@asynccontextmanager
async def order_book(settings: OrderBookAccess) -> AsyncGenerator[OrderBook | None, None]:
    """The order book, closed at the end; None where its address or key is not set. Connects when it is asked."""
    if not settings.database_url or not settings.pii_key:
        yield None
        return
    book = OrderBook.open(settings.database_url, FieldCipher(*settings.pii_keys), SystemClock())
    try:
        yield book
    finally:
        await book.close()


def temporal_away(settings: ProcessSettings, error: BaseException) -> str:
    """The sentence for a Temporal that can't be reached."""
    return (
        f"Temporal does not answer at {settings.temporal.address} ({in_one_line(error)}): start it (`topup dev` has "
        "one), or set TEMPORAL_ADDRESS."
    )


def kafka_arguments(settings: KafkaConnection) -> dict[str, Any]:
    """Keyword arguments of any kafka-python client; secrets only where they are used."""
    arguments: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "bootstrap_timeout_ms": KAFKA_BOOTSTRAP_MS,
        "security_protocol": settings.kafka_security_protocol,
        "api_version": settings.kafka_api_version,
        "sasl_mechanism": settings.kafka_sasl_mechanism,
        "sasl_plain_username": settings.kafka_sasl_username,
        "sasl_plain_password": settings.kafka_sasl_password,
        "ssl_cafile": settings.kafka_ssl_cafile,
        "ssl_certfile": settings.kafka_ssl_certfile,
        "ssl_keyfile": settings.kafka_ssl_keyfile,
    }
    return {name: value for name, value in arguments.items() if value is not None}


def kafka_away(settings: KafkaConnection, error: BaseException) -> str:
    """The sentence for a Kafka that can't be reached."""
    return (
        f"Kafka does not answer at {settings.kafka_bootstrap_servers} ({in_one_line(error)}): start it (`topup dev` "
        "has one), or set TOPUP_KAFKA_BOOTSTRAP_SERVERS."
    )


def database_away(error: BaseException, *, limit_seconds: float) -> str:
    """The sentence for an order book that can't be opened; the URL may hold a password and is not shown.

    Args:
        error: what became of the question.
        limit_seconds: how long the whole question had, which may be several transactions.
    """
    if isinstance(error, TimeoutError):
        return str(no_answer(limit_seconds))
    return (
        f"The database can't be used ({in_one_line(error)}): see its log, or set TOPUP_DATABASE_URL, for example "
        "TOPUP_DATABASE_URL=sqlite:///topup.db."
    )
