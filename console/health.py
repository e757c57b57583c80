"""`topup doctor`: each part asked once, a sentence each."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import httpx

from adapters.order_book import OrderBook
from adapters.vault import Vault
from console.connecting import database_away, kafka_arguments, kafka_away, temporal_away
from console.display import Step
from runtime.clock import SystemClock
from runtime.mqtt_brokers import MqttBroker
from runtime.settings import Settings
from runtime.temporal import check, connect
from runtime.waiting import in_one_line

QUESTION_SECONDS = 10.0


async def examine(settings: Settings) -> list[Step]:
    """Ask every part that is configured, side by side; what is not configured is a failed step too."""
    questions: list[Awaitable[Step]] = [
        _ask("database", _database(settings), database_away),
        _ask("temporal", _temporal(settings), lambda error: temporal_away(settings, error)),
        _ask("kafka", _kafka(settings), lambda error: kafka_away(settings, error)),
        _ask("carrier", _carrier(settings), _away("The carrier", "TOPUP_CARRIER_URL")),
    ]
    if settings.wechat_configured:
        questions.append(_http("wechat", settings.wechat_url, "WeChat Pay", "TOPUP_WECHAT_URL"))
    if settings.alipay_configured:
        questions.append(_http("alipay", settings.alipay_url, "Alipay", "TOPUP_ALIPAY_URL"))
    if not (settings.wechat_configured or settings.alipay_configured):
        questions.append(
            _missing("payments", "No payment provider is configured: set TOPUP_WECHAT_… or TOPUP_ALIPAY_….")
        )
    for broker in settings.mqtt_brokers:
        name = f"The MQTT platform {broker.name}"
        questions.append(_ask(f"mqtt {broker.name}", _mqtt(broker), _away(name, "TOPUP_MQTT_BROKERS")))
    if not settings.mqtt_brokers:
        questions.append(_missing("mqtt", "No MQTT platform is configured: set TOPUP_MQTT_BROKERS."))
    return await asyncio.gather(*questions)


class NotSet(Exception):
    """A variable is not set; the text is the sentence."""


async def _ask(part: str, question: Awaitable[str], away: Callable[[BaseException], str]) -> Step:
    try:
        return Step(part, ok=True, says=await asyncio.wait_for(question, QUESTION_SECONDS))
    except NotSet as error:
        return Step(part, ok=False, says=str(error))
    except Exception as error:  # noqa: BLE001 - every part's client has its own errors
        return Step(part, ok=False, says=away(error))


async def _missing(part: str, sentence: str) -> Step:
    return Step(part, ok=False, says=sentence)


def _away(name: str, variable: str) -> Callable[[BaseException], str]:
    return lambda error: f"{name} does not answer ({in_one_line(error)}): start it, or set {variable}."


def _http(part: str, url: str, name: str, variable: str) -> Awaitable[Step]:
    return _ask(part, _answers(url, name), _away(name, variable))


async def _database(settings: Settings) -> str:
    if not settings.database_url:
        raise NotSet("No database is configured: set TOPUP_DATABASE_URL, for example sqlite:///topup.db.")
    book = OrderBook.open(settings.database_url, Vault(settings.pii_key or bytes(32), *settings.pii_old_keys), SystemClock())
    try:
        await book.ping()
    finally:
        await book.close()
    return "The order book answers and has its schema."


async def _temporal(settings: Settings) -> str:
    client = await connect(settings)
    await check(client)
    await client.count_workflows("TopUpNeedsOperator = true")
    return f"Temporal answers at {settings.temporal.address}, namespace {settings.temporal.namespace}."


async def _kafka(settings: Settings) -> str:
    if not settings.kafka_bootstrap_servers:
        raise NotSet("No Kafka is configured: set TOPUP_KAFKA_BOOTSTRAP_SERVERS, for example 127.0.0.1:9092.")
    return await asyncio.to_thread(_kafka_topics, settings)


def _kafka_topics(settings: Settings) -> str:
    from kafka import KafkaConsumer  # noqa: PLC0415 - slow to import

    with contextlib.closing(KafkaConsumer(**kafka_arguments(settings))) as consumer:
        there = consumer.topics()
    missing = [topic for topic in (settings.kafka_topic, settings.kafka_dlq_topic) if topic not in there]
    if missing:
        raise NotSet(f"Kafka answers, and has no topic {' and no topic '.join(missing)}: run `topup setup`.")
    return f"Kafka answers at {settings.kafka_bootstrap_servers} and has both topics."


async def _carrier(settings: Settings) -> str:
    if not settings.carrier_url:
        raise NotSet("No carrier is configured: set TOPUP_CARRIER_URL and TOPUP_CARRIER_TOKEN.")
    return await _answers(settings.carrier_url, "The carrier")


async def _answers(url: str, name: str) -> str:
    """Any HTTP answer counts: this asks for nothing that could move money."""
    async with httpx.AsyncClient(timeout=QUESTION_SECONDS) as client:
        answer = await client.head(url)
    return f"{name} answers at {urlsplit(url).netloc} (HTTP {answer.status_code})."


async def _mqtt(broker: MqttBroker) -> str:
    _, writer = await asyncio.open_connection(broker.host, broker.port)
    writer.close()
    return f"The MQTT platform {broker.name} accepts connections."
