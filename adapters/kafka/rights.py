"""What each process may do at Kafka, given as ACLs, and what a client may do, asked without doing it.

Whoever writes the paid orders has packages sold, so only the gateway does, and who redrives; a process that is taken
over can do at Kafka what its own work is and nothing else.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, cast, get_args

from kafka import admin as kafka_admin
from kafka.errors import KafkaError, SecurityDisabledError

from adapters.kafka.clients import asking
from adapters.kafka.topics import CannotCreate
from runtime.settings.groups import ConsumerGroup, TopicCreation

Process = Literal["gateway", "bridge", "worker", "operator"]
PROCESSES: Final[tuple[Process, ...]] = get_args(Process)
Topic = Literal["orders", "dead letters", "unmatched"]
_READ: Final = ("READ", "DESCRIBE", "DESCRIBE_CONFIGS")
_WRITE: Final = ("WRITE", "DESCRIBE", "DESCRIBE_CONFIGS")
RIGHTS: Final[Mapping[Process, Mapping[Topic, Sequence[str]]]] = {
    "gateway": {"orders": _WRITE, "unmatched": _WRITE},
    "bridge": {"orders": _READ, "dead letters": ("WRITE", *_READ), "unmatched": _READ},
    "worker": {"orders": _WRITE, "unmatched": _WRITE},
    "operator": {"orders": ("WRITE", *_READ), "dead letters": _READ, "unmatched": _READ},
}
"""The worker writes what reconciliation finds (contracts §10); an operator redrives, and adopts payments."""
GROUP_RIGHTS: Final[Mapping[Process, Sequence[str]]] = {"bridge": ("READ", "DESCRIBE"), "operator": ("DESCRIBE",)}
"""On the bridge's consumer group."""


def users(text: str) -> dict[Process, str]:
    """`bridge,gateway=User:CN=gate`: process → Kafka's principal, `User:` and the process's name where none is given.

    Principals themselves hold no comma here.

    Raises:
        ValueError: a clause about what is none.
    """
    found: dict[Process, str] = {}
    for part in text.split(","):
        name, separator, principal = part.strip().partition("=")
        if name not in PROCESSES or (separator and not principal.startswith("User:")):
            raise ValueError(
                f"must name some of {', '.join(PROCESSES)}, separated by commas, each perhaps with its principal, for "
                "example bridge=User:topup-bridge"
            )
        found[name] = principal or f"User:{name}"
    return found


def grant(settings: TopicCreation, to: Mapping[Process, str]) -> str:
    """Give each what its work needs; takes nothing away. The client is one who may. Blocks. A clause of what was done.

    Raises:
        Unavailable: no broker answers.
        CannotCreate: the broker refused, or has no authorizer.
    """
    rules = [_rule(principal, *right) for process, principal in to.items() for right in _rights(settings, process)]
    with asking(settings) as admin:
        try:
            done = cast("Any", admin).create_acls(rules)
        except KafkaError as error:
            done = {"failed": [error]}
    failed = [one if isinstance(one, type) else type(one) for one in done["failed"]]
    if SecurityDisabledError in failed:
        raise CannotCreate(
            "Kafka has no authorizer, so whoever reaches it may do everything: set authorizer.class.name at the "
            "broker, or leave out --kafka-users."
        )
    if failed:
        names = ", ".join(sorted({one.__name__ for one in failed}))
        raise CannotCreate(f"Kafka refuses to give rights ({names}): use a user that may alter the cluster.")
    return f"{', '.join(to.values())} may do what {', '.join(to)} need at Kafka"


def may(settings: ConsumerGroup, topics: Sequence[str]) -> dict[str, set[str]]:
    """What this client may do with each topic; empty where the broker doesn't say. Blocks, and does nothing.

    Raises:
        Unavailable: no broker answers.
    """
    with asking(settings) as admin:
        described = cast("Any", admin).describe_topics(list(topics))
    return {topic["name"]: _operations(topic) for topic in described}


def _operations(topic: Mapping[str, Any]) -> set[str]:
    return {str(operation) for operation in topic.get("authorized_operations") or ()}


def _rights(settings: TopicCreation, process: Process) -> Iterator[tuple[str, str, str]]:
    """Kind of resource, its name, operation."""
    names: Mapping[Topic, str] = {
        "orders": settings.kafka_topic,
        "dead letters": settings.kafka_dlq_topic,
        "unmatched": settings.kafka_unmatched_topic,
    }
    for topic, operations in RIGHTS[process].items():
        yield from (("TOPIC", names[topic], operation) for operation in operations)
    yield from (("GROUP", settings.kafka_group, operation) for operation in GROUP_RIGHTS.get(process, ()))


def _rule(principal: str, kind: str, name: str, operation: str) -> object:
    library = cast("Any", kafka_admin)
    resource = library.ResourcePattern(library.ResourceType[kind], name)
    return library.ACL(principal, "*", library.ACLOperation[operation], library.ACLPermissionType.ALLOW, resource)
