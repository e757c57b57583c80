"""Makes the topics that are missing; one that is there stays as it is (contracts §9)."""

from collections.abc import Mapping
from typing import Any, Final

from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, TopicAlreadyExistsError

from adapters.kafka.clients import EMBEDDED_API_VERSION, asking
from adapters.kafka.protocols import Admin
from orders.errors import TopUpError
from runtime.redaction import in_one_line
from runtime.settings.groups import TopicCreation, Topics
from runtime.telemetry import get_logger

BROKER_MESSAGE_BYTES: Final = 1_048_588
"""Kafka's own default of `max.message.bytes`."""
HEADERS_BYTES: Final = 64 * 1024
"""What a dead letter may be larger than its original (contracts §2)."""
THE_BROKERS: Final = -1
"""Replication as the broker has it by default."""

_log = get_logger(__name__)


class CannotCreate(TopUpError):
    """Topics are missing and could not be made; waiting would not help."""


def ensure_topics(settings: TopicCreation) -> list[str]:
    """Make the topics of paid orders, dead letters and unmatched payments that are missing; their names. Blocks.

    Raises:
        Unavailable: no broker answers.
        CannotCreate: the broker refused; names what is missing.
    """
    with asking(settings) as admin:
        return _ensure(admin, settings)


def _ensure(admin: Admin, settings: TopicCreation) -> list[str]:
    present = set(admin.list_topics())
    made: list[str] = []
    refused: dict[str, KafkaError] = {}

    def ensure(name: str, configs: dict[str, str]) -> None:
        try:
            if name not in present and _make(admin, settings, name, configs):
                made.append(name)
        except KafkaError as error:
            refused[name] = error

    ensure(settings.kafka_topic, {})
    limit_bytes = _message_limit_bytes(admin, settings, settings.kafka_topic) + HEADERS_BYTES
    ensure(settings.kafka_dlq_topic, {"max.message.bytes": str(limit_bytes)})
    ensure(settings.kafka_unmatched_topic, {})
    if refused:
        raise CannotCreate(_why(refused, settings))
    has_place = settings.kafka_dlq_topic in made
    if not has_place and _message_limit_bytes(admin, settings, settings.kafka_dlq_topic) < limit_bytes:
        _log.warning(
            "dead-letter topic too small",
            sentence=f"{settings.kafka_dlq_topic} takes smaller messages than {settings.kafka_topic} plus 64 KiB: set "
            f"its max.message.bytes to {limit_bytes}, else a large record without a place stops its partition.",
        )
    return made


def _why(refused: Mapping[str, KafkaError], settings: TopicCreation) -> str:
    reasons = {str(getattr(error, "description", "")) or in_one_line(error) for error in refused.values()}
    return (
        f"Kafka has no topic {' and no topic '.join(refused)}, and could not be made to create what is missing "
        f"({' '.join(sorted(reasons))}): create it with {settings.kafka_partitions} partitions by other means, or let "
        "this user create topics."
    )


def dead_letter_limit(admin: Admin, settings: Topics) -> tuple[int, int]:
    """The largest message that the dead-letter topic takes, and the one that it must take, in bytes. Blocks."""
    found = _message_limit_bytes(admin, settings, settings.kafka_dlq_topic)
    if settings.kafka_api_version == EMBEDDED_API_VERSION:
        return found, found
    return found, _message_limit_bytes(admin, settings, settings.kafka_topic) + HEADERS_BYTES


def _make(admin: Admin, settings: TopicCreation, name: str, configs: dict[str, str]) -> bool:
    topic: dict[str, Any] = {
        "num_partitions": settings.kafka_partitions,
        "replication_factor": THE_BROKERS,
        "configs": configs,
    }
    try:
        admin.create_topics({name: topic}, wait_for_metadata=True)
    except TopicAlreadyExistsError:  # someone else's setup was faster
        return False
    return True


def _message_limit_bytes(admin: Admin, settings: Topics, topic: str) -> int:
    if settings.kafka_api_version == EMBEDDED_API_VERSION:
        return BROKER_MESSAGE_BYTES  # the embedded broker has no settings to ask for
    try:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        found = admin.describe_configs([resource], config_filter="all")["topic"][topic]
        return int(found["max.message.bytes"]["value"])
    except (KafkaError, KeyError):  # not allowed to look, or the topic is not there
        return BROKER_MESSAGE_BYTES
