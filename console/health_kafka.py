"""What `topup doctor` asks Kafka: are the topics right, does a bridge read, how far behind?"""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from kafka.errors import CoordinatorNotAvailableError

from adapters.kafka import rights as kafka_rights
from adapters.kafka.clients import EMBEDDED_API_VERSION, administrator, reader
from adapters.kafka.protocols import Partition
from adapters.kafka.topics import dead_letter_limit
from console.display import Step
from runtime.settings.groups import ConsumerGroup

READ_MS: Final = 5_000
_NOBODY: Final[Mapping[str, Any]] = {"group_state": "none", "members": []}


def topics(settings: ConsumerGroup) -> str | Step:
    """Both topics, and room for a dead letter. Blocks."""
    with contextlib.closing(administrator(settings)) as admin:
        there = set(admin.list_topics())
        wanted = (settings.kafka_topic, settings.kafka_dlq_topic)
        missing = [topic for topic in wanted if topic not in there]
        if missing:
            sentence = f"Kafka answers, and has no topic {' and no topic '.join(missing)}: run `topup setup`."
            return Step("kafka", ok=False, says=sentence)
        found, needed = dead_letter_limit(admin, settings)
    if found < needed:
        return Step(
            "kafka",
            ok=False,
            says=f"{settings.kafka_dlq_topic} takes messages of {found} bytes, and a dead letter may need {needed}: "
            f"`kafka-configs.sh --alter --topic {settings.kafka_dlq_topic} --add-config max.message.bytes={needed}`.",
        )
    return f"Kafka answers at {settings.kafka_bootstrap_servers}; both topics are there."


def group(settings: ConsumerGroup) -> str | Step:
    """Who reads which partitions, and how far behind. Blocks."""
    if settings.kafka_api_version == EMBEDDED_API_VERSION:
        return "The embedded broker can't say who reads."
    name, topic = settings.kafka_group, settings.kafka_topic
    with contextlib.closing(administrator(settings)) as admin:
        try:
            described: Mapping[str, Any] = cast("Any", admin).describe_groups([name])[name]
            lag = _lag(settings)
        except CoordinatorNotAvailableError:  # a broker that no group has ever read from has no coordinator yet
            described, lag = _NOBODY, _lag(settings, ever_read=False)
    owners = _owners(described, topic)
    behind = sum(lag.values())
    unread = sorted(number for number in lag if number not in owners)
    if unread:
        return Step(
            "bridge",
            ok=False,
            says=f"Nobody in group {name} reads partition {_numbers(unread)} of {topic} (state "
            f"{described['group_state']}, {behind} records behind): start a bridge (`topup bridge`), or read its "
            "/readyz.",
        )
    who = ", ".join(sorted(set(owners.values())))
    return f"{len(lag)} partitions of {topic} are read by {who}; {behind} records behind."


def rights(settings: ConsumerGroup, unmatched: str) -> str | Step:
    """What this user may do with the topics, as the broker says it. Blocks, and does nothing."""
    if settings.kafka_api_version == EMBEDDED_API_VERSION:
        return "The embedded broker gives everybody every right."
    topics = (settings.kafka_topic, settings.kafka_dlq_topic, unmatched)
    may = {topic: operations & {"READ", "WRITE"} for topic, operations in kafka_rights.may(settings, topics).items()}
    if not any(may.values()):
        return Step(
            "kafka rights",
            ok=False,
            says="This user may neither read nor write any of the topics: have `topup setup --kafka-users …` give it "
            "what it needs, by somebody who may.",
        )
    told = "; ".join(f"{topic} {' and '.join(sorted(ops)).lower() or 'neither'}" for topic, ops in may.items())
    return f"This user may: {told}."


def _owners(described: Mapping[str, Any], topic: str) -> dict[int, str]:
    """Partition → client and host."""
    owners: dict[int, str] = {}
    for member in described["members"]:
        assignment: Mapping[str, Any] = member["member_assignment"] or {}
        shares: Sequence[Mapping[str, Any]] = assignment.get("assigned_partitions", ())
        for share in shares:
            if share["topic"] == topic:
                owners |= dict.fromkeys(share["partitions"], f"{member['client_id']}{member['client_host']}")
    return owners


def _lag(settings: ConsumerGroup, *, ever_read: bool = True) -> dict[int, int]:
    """Records behind the committed offset, by partition; markers of transactions count too."""
    with contextlib.closing(cast("Any", reader(settings, group_id=settings.kafka_group))) as consumer:
        numbers: set[int] = consumer.partitions_for_topic(settings.kafka_topic) or set()
        partitions = [Partition(settings.kafka_topic, number) for number in sorted(numbers)]
        ends: dict[Partition, int] = consumer.end_offsets(partitions, timeout_ms=READ_MS)
        firsts: dict[Partition, int] = consumer.beginning_offsets(partitions, timeout_ms=READ_MS)
        lag: dict[int, int] = {}
        for partition in partitions:
            committed: int | None = consumer.committed(partition, timeout_ms=READ_MS) if ever_read else None
            read_to = firsts[partition] if committed is None else max(committed, firsts[partition])
            lag[partition.partition] = max(ends[partition] - read_to, 0)
        return lag


def _numbers(numbers: list[int]) -> str:
    return ", ".join(str(number) for number in numbers)
