"""The groups of settings that belong to no adapter of their own: the product's parts that several processes share."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import ValidationInfo, field_validator

from runtime import values
from runtime.settings.faults import fault_of, sentence_fault
from runtime.settings.model import Group, ProcessSettings
from runtime.settings.variable import parsed, setting

_NO_BLANKS: Final = "ASCII characters without blanks"
Port = Annotated[int, parsed(values.whole(0, values.LARGEST_PORT))]


class TaskQueue(Group):
    """Where the saga's work is queued in Temporal."""

    task_queue: Annotated[str, parsed(values.matching(r"[!-~]{1,200}", f"must be 1 to 200 {_NO_BLANKS}"))] = setting(
        "topup-orders", meaning="Temporal task queue", example="topup-orders"
    )


class Database(Group):
    """Where the order book is."""

    database_url: Annotated[str, parsed(values.database_url)] = setting(
        meaning="order book: `sqlite:///…` (all processes on one host) or `postgresql://user:password@host/name`",
        example="sqlite:///topup.db",
        secret=True,
    )


class OrderBookAccess(Database):
    """The order book and the keys of its encrypted columns."""

    pii_key: Annotated[bytes, parsed(values.pii_key)] = setting(
        meaning="32 bytes in base64: key of the keyed hash and of encrypted columns",
        example='"$(openssl rand -base64 32)"',
        secret=True,
        unset=b"",
    )
    pii_old_keys: Annotated[tuple[bytes, ...], parsed(values.pii_keys)] = setting(
        (),
        meaning="other keys that decrypt, base64, separated by commas: see docs/keys.md",
        example='"$OLD_KEY"',
        secret=True,
    )

    @property
    def pii_keys(self) -> tuple[bytes, ...]:
        """The key that encrypts, then the others that decrypt."""
        return (self.pii_key, *self.pii_old_keys)


class PayloadEncryption(Group):
    """The keys of what Temporal keeps of an order."""

    codec_key: Annotated[bytes | None, parsed(values.pii_key)] = setting(
        None,
        meaning="32 bytes in base64, not `TOPUP_PII_KEY`: payloads in Temporal are encrypted; none: they are not",
        example='"$(openssl rand -base64 32)"',
        secret=True,
    )
    codec_old_keys: Annotated[tuple[bytes, ...], parsed(values.pii_keys)] = setting(
        (),
        meaning="other keys that decrypt payloads, base64, separated by commas: see docs/keys.md",
        example='"$OLD_CODEC_KEY"',
        secret=True,
    )


class CodecServer(PayloadEncryption):
    """Who may have payloads decrypted."""

    codec_tokens: Annotated[Mapping[str, str], parsed(values.tokens_by_operator)] = setting(
        {},
        default_text="",
        meaning="JSON object: operator → bearer token (`temporal --codec-auth 'Bearer …'`); at least this or the next",
        example='{"li": "a token of 20 characters or more"}',
        secret=True,
    )
    codec_proxy_token: Annotated[str, parsed(values.bearer_token)] = setting(
        "",
        meaning="bearer token of the sign-in proxy, which names the operator in `X-Forwarded-User`",
        example='"$(openssl rand -base64 24)"',
        secret=True,
    )
    codec_origins: Annotated[tuple[str, ...], parsed(values.origins)] = setting(
        (),
        meaning="origins of the Web UIs that may ask from a browser, separated by commas; none: only from the same one",
        example="https://temporal.example",
    )

    def who_may_ask(self) -> list[str]:
        """The sentences about what is missing."""
        missing: list[str] = []
        if self.codec_key is None and not self.codec_old_keys:
            missing.append(
                "TOPUP_CODEC_KEY is not set and the codec-server needs it: give the key of worker and bridge, for "
                'example TOPUP_CODEC_KEY="$(openssl rand -base64 32)".'
            )
        if not self.codec_tokens and not self.codec_proxy_token:
            missing.append(
                "Neither TOPUP_CODEC_TOKENS nor TOPUP_CODEC_PROXY_TOKEN is set and the codec-server answers nobody "
                'unknown: give one, for example TOPUP_CODEC_PROXY_TOKEN="$(openssl rand -base64 24)".'
            )
        return missing


class OrdersAccess(ProcessSettings, TaskQueue, OrderBookAccess, PayloadEncryption):
    """What every process reads that works on orders: Temporal and the keys of its payloads, the order book."""

    def refusals(self) -> list[str]:
        """Also: one key for two purposes, of which one is given to more people than the other."""
        shared = {self.codec_key, *self.codec_old_keys} & {key for key in self.pii_keys if key}
        sentence = (
            "TOPUP_CODEC_KEY or one of TOPUP_CODEC_OLD_KEYS is a key of the order book too: give it a key of its own, "
            'for example TOPUP_CODEC_KEY="$(openssl rand -base64 32)".'
        )
        return [*super().refusals(), *([sentence] if shared else [])]


class KafkaConnection(Group):
    """How Kafka is reached."""

    kafka_bootstrap_servers: Annotated[str, parsed(values.bootstrap_servers)] = setting(
        meaning="Kafka's addresses, `host:port`, separated by commas", example="127.0.0.1:9092"
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = setting(
        "PLAINTEXT", meaning="`PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`", example="SASL_SSL"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = setting(
        None,
        meaning="`PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`",
        example="SCRAM-SHA-512",
    )
    kafka_sasl_username: str | None = setting(None, meaning="user at Kafka", example="topup")
    kafka_sasl_password: str | None = setting(
        None, meaning="password at Kafka", example="'a long password'", secret=True
    )
    kafka_ssl_cafile: str | None = setting(
        None, meaning="file with the CA of Kafka (PEM)", example="/run/secrets/kafka-ca.pem"
    )
    kafka_ssl_certfile: str | None = setting(
        None, meaning="file with our certificate for Kafka (PEM)", example="/run/secrets/kafka.pem"
    )
    kafka_ssl_keyfile: str | None = setting(
        None,
        meaning="file with the key of that certificate (PEM)",
        example="/run/secrets/kafka.key",
    )
    kafka_api_version: Annotated[tuple[int, ...] | None, parsed(values.api_version)] = setting(
        None, meaning="unset = negotiate; `2.3` for the embedded broker", example="2.3"
    )

    @field_validator("kafka_sasl_mechanism", "kafka_sasl_username", "kafka_sasl_password", mode="after")
    @classmethod
    def _needed_with_sasl(cls, value: str | None, info: ValidationInfo) -> str | None:
        protocol = str(info.data.get("kafka_security_protocol", ""))
        if value is None and protocol.startswith("SASL_"):
            raise ValueError(f"is not set and TOPUP_KAFKA_SECURITY_PROTOCOL={protocol} needs it")
        return value

    @field_validator("kafka_ssl_keyfile", mode="after")
    @classmethod
    def _usable_files_of_kafka(cls, keyfile: str | None, info: ValidationInfo) -> str | None:
        cafile, certfile = info.data.get("kafka_ssl_cafile"), info.data.get("kafka_ssl_certfile")
        if (certfile is None) != (keyfile is None):
            missing = "keyfile" if keyfile is None else "certfile"
            raise fault_of(f"kafka_ssl_{missing}", "is not set, and certificate and key belong together")
        files = (cafile, certfile, keyfile)
        if any(files) and (wrong := values.unusable(*files)):
            raise fault_of(f"kafka_ssl_{wrong[0]}", f"names a file that {wrong[1]}")
        return keyfile


class PaidOrdersTopic(KafkaConnection):
    """Kafka and the topic of the paid orders."""

    kafka_topic: Annotated[str, parsed(values.kafka_name)] = setting(
        "topup.paid-orders", meaning="topic of the paid orders", example="topup.paid-orders"
    )


class UnmatchedTopic(PaidOrdersTopic):
    """Kafka, the topic of the paid orders, and that of the payments that can't become one."""

    kafka_unmatched_topic: Annotated[str, parsed(values.kafka_name)] = setting(
        "topup.payments.unmatched",
        meaning="topic of genuine payments that can't become an order",
        example="topup.payments.unmatched",
    )

    @field_validator("kafka_unmatched_topic", mode="after")
    @classmethod
    def _no_order_among_them(cls, name: str, info: ValidationInfo) -> str:
        if name == info.data.get("kafka_topic"):
            raise ValueError("must be another topic than TOPUP_KAFKA_TOPIC")
        return name


class RecordSigning(Group):
    """The key by which the bridge knows the gateway's records."""

    record_key: Annotated[bytes | None, parsed(values.pii_key)] = setting(
        None,
        meaning="32 bytes in base64: the gateway signs records by it, a bridge that has it takes no others; none: "
        "records are taken unsigned",
        example='"$(openssl rand -base64 32)"',
        secret=True,
    )
    record_old_keys: Annotated[tuple[bytes, ...], parsed(values.pii_keys)] = setting(
        (),
        meaning="older keys of records, base64, separated by commas",
        example='"$OLD_RECORD_KEY"',
        secret=True,
    )

    @property
    def record_keys(self) -> tuple[bytes, ...]:
        """The key that signs, then the others that verify; none where records go unsigned."""
        return (self.record_key, *self.record_old_keys) if self.record_key is not None else ()

    def unsigned_records(self) -> list[str]:
        """The sentence to log at start where records go unsigned."""
        if self.record_key is not None:
            return []
        sentence = (
            "TOPUP_RECORD_KEY is not set: whoever may write the topic of the paid orders may have packages sold; give "
            "gateway and bridge one key."
        )
        return [sentence]


class CallbackServer(Group):
    """Where payment callbacks are taken."""

    callback_port: Port = setting(8080, meaning="port of the payment callbacks; 0 = any free one", example="8080")
    callback_host: Annotated[
        str, parsed(values.matching(r"[0-9A-Za-z.:_-]{1,253}", "must be a host name or an address"))
    ] = setting("127.0.0.1", meaning="address that port is opened on", example="127.0.0.1")


class Attachments(Group):
    """The keys by which the order backend's signed attachments prove what a payment bought."""

    attach_key: Annotated[bytes | None, parsed(values.pii_key)] = setting(
        None,
        meaning="32 bytes in base64: key of the order backend's attachments; at least this or the lookup",
        example='"$(openssl rand -base64 32)"',
        secret=True,
    )
    attach_old_keys: Annotated[tuple[bytes, ...], parsed(values.pii_keys)] = setting(
        (),
        meaning="older keys of attachments, base64, separated by commas",
        example='"$OLD_ATTACH_KEY"',
        secret=True,
    )

    @property
    def attach_keys(self) -> tuple[bytes, ...]:
        """All keys that may have made an attachment."""
        return (*((self.attach_key,) if self.attach_key is not None else ()), *self.attach_old_keys)


class Purchases(Attachments):
    """How a payment tells what it bought: by the order backend's signed attachment, by asking the backend, or both."""

    order_lookup_token: Annotated[str, parsed(values.token)] = setting(
        "", meaning="bearer token at the order backend", example="'the token of the order backend'", secret=True
    )
    order_lookup_url: Annotated[str | None, parsed(values.http_url)] = setting(
        None,
        meaning="order backend, before `/{out_trade_no}`: asked what a payment without an attachment bought",
        example="https://orders.example/paid",
    )
    order_lookup_cafile: values.CaFile | None = setting(
        None,
        meaning="file with the CA of the order backend (PEM), in place of the public ones",
        example="/run/secrets/orders-ca.pem",
    )

    @field_validator("order_lookup_url", mode="after")
    @classmethod
    def _one_of_both(cls, url: str | None, info: ValidationInfo) -> str | None:
        if url is None and not (info.data.get("attach_key", True) or info.data.get("attach_old_keys")):
            raise sentence_fault(
                "Neither TOPUP_ATTACH_KEY nor TOPUP_ORDER_LOOKUP_URL is set and the gateway needs at least one to know "
                'what was bought: set one, for example TOPUP_ATTACH_KEY="$(openssl rand -base64 32)".'
            )
        return url


class Topics(PaidOrdersTopic):
    """Kafka and both topics."""

    kafka_dlq_topic: Annotated[str, parsed(values.kafka_name)] = setting(
        "topup.paid-orders.dlq",
        meaning="topic of the dead letters",
        example="topup.paid-orders.dlq",
    )

    @field_validator("kafka_dlq_topic", mode="after")
    @classmethod
    def _another_topic(cls, name: str, info: ValidationInfo) -> str:
        if name == info.data.get("kafka_topic"):
            raise ValueError("must be another topic than TOPUP_KAFKA_TOPIC")
        return name


class ConsumerGroup(Topics):
    """Kafka, both topics, and the group that reads."""

    kafka_group: Annotated[str, parsed(values.matching(r"[!-~]{1,249}", f"must be 1 to 249 {_NO_BLANKS}"))] = setting(
        "topup-bridge", meaning="consumer group", example="topup-bridge"
    )


class TopicCreation(ConsumerGroup, UnmatchedTopic):
    """Kafka, its topics and who reads them, and how they are created."""

    kafka_partitions: Annotated[int, parsed(values.whole(1, 10_000))] = setting(
        12, meaning="partitions of a topic that `topup setup` creates", example="12"
    )


def http_port(default: int) -> Any:
    """The port of a process; each has a default of its own."""
    return setting(
        default,
        meaning="port of `/healthz`, `/readyz`, `/metrics`; 0 = any free one",
        example=str(default),
    )


class HttpServer(Group):
    """Where a process serves its health and metrics. Each process gives the port its own default."""

    http_port: Port = http_port(0)
    http_host: Annotated[
        str, parsed(values.matching(r"[0-9A-Za-z.:_-]{1,253}", "must be a host name or an address"))
    ] = setting("127.0.0.1", meaning="address that port is opened on", example="127.0.0.1")


class ServerSettings(ProcessSettings, HttpServer):
    """What every process reads that runs for long and says how it is."""


class Admission(Group):
    """How much the bridge takes on at once."""

    bridge_max_first_pass: Annotated[int, parsed(values.whole(1, 1_000_000))] = setting(
        100, meaning="orders in their first pass at which the bridge stops taking more", example="100"
    )


class Working(Group):
    """How a worker works, and as what it is known to Temporal."""

    local_first: Annotated[bool, parsed(values.boolean)] = setting(
        True,
        meaning="try each step as a local activity first; `false` only to compare throughput",
        example="true",
    )
    worker_build_id: Annotated[str, parsed(values.identifier)] = setting(
        "",
        meaning="version of this worker's code, for worker deployment versioning (`docs/versions.md`); none: "
        "unversioned",
        example="2026-11-23.1",
    )
    worker_deployment: Annotated[str, parsed(values.identifier)] = setting(
        "topup", meaning="name of the worker deployment that the build ID belongs to", example="topup"
    )
    worker_max_activities: Annotated[int, parsed(values.whole(1, 10_000))] = setting(
        200, meaning="activities one worker runs at once, of each kind", example="200"
    )


class Calling(Group):
    """When a person is called for what goes on by itself."""

    refund_silent_seconds: Annotated[float, parsed(values.seconds(60, 7 * 86400))] = setting(
        3600.0,
        meaning="seconds after which a refund that is not confirmed calls a person; it is asked about on and on",
        example="3600",
    )
    notice_pending_seconds: Annotated[float, parsed(values.seconds(60, 7 * 86400))] = setting(
        3600.0,
        meaning="seconds after which a notice that an MQTT platform has not taken calls a person; it is tried on",
        example="3600",
    )


class Holding(Group):
    """When a person is called for what an operator has done."""

    hold_long_seconds: Annotated[float, parsed(values.seconds(60, 30 * 86400))] = setting(
        14400.0,
        meaning="seconds after which a hold of carrier or provider (`topup hold`) calls a person",
        example="14400",
    )


class TwoPersons(Group):
    """Whether one operator is enough."""

    two_persons: Annotated[bool, parsed(values.boolean)] = setting(
        False,
        meaning="an operator's word that moves money in doubt (docs/runbook.md) takes effect when a second operator "
        "gives it too within 1 h; a cancel, which proves nobody, does nothing",
        example="true",
    )


class RestoredBook(Group):
    """Whether the order book comes from a backup."""

    restored_at: Annotated[datetime | None, parsed(values.moment)] = setting(
        None,
        meaning="when an order book from a backup was put in service (RFC 3339): every order asks before it sends; "
        "see docs/restore.md",
        example="2026-11-23T10:00:00Z",
    )


class Rules(TwoPersons, RestoredBook):
    """What the operators have decided about how orders are handled."""
