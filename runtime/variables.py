"""Every `TOPUP_*` variable: the one table behind `runtime.settings.load` and README's configuration table."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from runtime import values
from runtime.mqtt_brokers import DEFAULT_TOPIC, mqtt_brokers

Process = Literal["worker", "bridge", "gateway", "setup", "orders", "dlq", "reconcile", "doctor"]
"""Who loads settings. `doctor` (and whatever only looks around) needs nothing to be set."""

PREFIX: Final = "TOPUP_"
FILE_SUFFIX: Final = "_FILE"

_ALL: Final[tuple[Process, ...]] = get_args(Process)
_SERVERS: Final[tuple[Process, ...]] = ("worker", "bridge", "gateway")
_BOOK: Final[tuple[Process, ...]] = ("worker", "bridge", "orders", "reconcile")
_KAFKA: Final[tuple[Process, ...]] = ("bridge", "gateway", "setup", "dlq")
_PROVIDERS: Final[tuple[Process, ...]] = ("worker", "gateway", "reconcile")
_RUNS: Final[tuple[Process, ...]] = ("worker", "bridge", "setup", "orders")


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable.

    Attributes:
        name: With its prefix.
        default: As text, as the README shows it; `""` = none.
        used_by: Processes that read it; a `_FILE` is opened by these alone.
        meaning: One line for the README.
        example: A value that loads.
        parse: Text → value; raises `ValueError` with a clause (`runtime.values`).
        needed_by: Processes that can't start without it; groups (providers) are checked in `runtime.settings`.
        secret: Never shown, in no sentence and no `repr`.
    """

    name: str
    default: str
    used_by: tuple[Process, ...]
    meaning: str
    example: str
    parse: Callable[[str], object] = field(default=values.plain, repr=False)
    needed_by: tuple[Process, ...] = ()
    secret: bool = False

    @property
    def attribute(self) -> str:
        """Its attribute of `Settings`."""
        return self.name.removeprefix(PREFIX).lower()


_PEM_PRIVATE: Final = "'-----BEGIN PRIVATE KEY-----\\n…'"
_PEM_PUBLIC: Final = "'-----BEGIN PUBLIC KEY-----\\n…'"
_HOUR: Final = 3600.0
_DAY: Final = 86_400

VARIABLES: Final[tuple[Variable, ...]] = (
    Variable(
        "TOPUP_TASK_QUEUE", "topup-orders", _RUNS, "Temporal task queue", "topup-orders", values.matching(
            r"[!-~]{1,200}", "must be 1 to 200 ASCII characters without blanks"
        ),
    ),
    Variable(
        "TOPUP_DATABASE_URL", "", (*_BOOK, "setup"),
        "order book: `sqlite:///…` (all processes on one host) or `postgresql://user:password@host/name`",
        "sqlite:///topup.db", values.database_url, (*_BOOK, "setup"), secret=True,
    ),
    Variable(
        "TOPUP_KAFKA_BOOTSTRAP_SERVERS", "", _KAFKA, "Kafka's addresses, `host:port`, separated by commas",
        "127.0.0.1:9092", values.bootstrap_servers, _KAFKA,
    ),
    Variable(
        "TOPUP_KAFKA_TOPIC", "topup.paid-orders", _KAFKA, "topic of the paid orders", "topup.paid-orders",
        values.kafka_name,
    ),
    Variable(
        "TOPUP_KAFKA_DLQ_TOPIC", "topup.paid-orders.dlq", ("bridge", "setup", "dlq"), "topic of the dead letters",
        "topup.paid-orders.dlq", values.kafka_name,
    ),
    Variable(
        "TOPUP_KAFKA_GROUP", "topup-bridge", ("bridge",), "consumer group", "topup-bridge",
        values.matching(r"[!-~]{1,249}", "must be 1 to 249 ASCII characters without blanks"),
    ),
    Variable(
        "TOPUP_KAFKA_PARTITIONS", "12", ("setup",), "partitions of a topic that `topup setup` creates", "12",
        values.whole(1, 10_000),
    ),
    Variable(
        "TOPUP_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT", _KAFKA, "`PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`",
        "SASL_SSL", values.one_of("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    ),
    Variable(
        "TOPUP_KAFKA_SASL_MECHANISM", "", _KAFKA, "`PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`", "SCRAM-SHA-512",
        values.one_of("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
    ),
    Variable("TOPUP_KAFKA_SASL_USERNAME", "", _KAFKA, "user at Kafka", "topup"),
    Variable("TOPUP_KAFKA_SASL_PASSWORD", "", _KAFKA, "password at Kafka", "'a long password'", secret=True),
    Variable("TOPUP_KAFKA_SSL_CAFILE", "", _KAFKA, "file with the CA of Kafka (PEM)", "/run/secrets/kafka-ca.pem"),
    Variable(
        "TOPUP_KAFKA_SSL_CERTFILE", "", _KAFKA, "file with our certificate for Kafka (PEM)", "/run/secrets/kafka.pem",
    ),
    Variable(
        "TOPUP_KAFKA_SSL_KEYFILE", "", _KAFKA, "file with the key of that certificate (PEM)", "/run/secrets/kafka.key",
    ),
    Variable(
        "TOPUP_KAFKA_API_VERSION", "", _KAFKA, "unset = negotiate; `2.3` for the embedded broker", "2.3",
        values.api_version,
    ),
    Variable(
        "TOPUP_CARRIER_DIALECT", "tmf622", ("worker",),
        "how the carrier is spoken to: `tmf622`, or `flat`, which can't be asked (docs/carrier-flat.md)", "tmf622",
        values.one_of("tmf622", "flat"),
    ),
    Variable(
        "TOPUP_CARRIER_URL", "", ("worker",), "carrier's origin, before `/tmf-api/…`", "https://carrier.example",
        values.carrier_url, ("worker",),
    ),
    Variable(
        "TOPUP_CARRIER_TOKEN", "", ("worker",), "bearer token at the carrier", "'the token the carrier gave you'",
        values.token, ("worker",), secret=True,
    ),
    Variable(
        "TOPUP_CARRIER_LONGEST_LATENCY_SECONDS", "60", ("worker",),
        "longest time the carrier takes to act on an order it was sent; scaled", "60", values.seconds(1, _HOUR),
    ),
    Variable(
        "TOPUP_CARRIER_VISIBILITY_LAG_SECONDS", "15", ("worker",),
        "how long the carrier's `GET` may lag its `POST`; scaled", "15", values.seconds(1, _HOUR),
    ),
    Variable(
        "TOPUP_CARRIER_COMPLETION_SECONDS", "300", ("worker",),
        "`requestedCompletionDate` = first call + this; above latency + lag; scaled", "300", values.seconds(2, _DAY),
    ),
    Variable(
        "TOPUP_WECHAT_URL", "https://api.mch.weixin.qq.com", _PROVIDERS, "WeChat Pay's address",
        "https://api.mch.weixin.qq.com", values.http_url,
    ),
    Variable("TOPUP_WECHAT_MCHID", "", _PROVIDERS, "our merchant number", "1900000109", values.identifier),
    Variable("TOPUP_WECHAT_APPID", "", _PROVIDERS, "our app ID at WeChat", "wxd678efh567hg6787", values.identifier),
    Variable(
        "TOPUP_WECHAT_SERIAL_NO", "", _PROVIDERS, "serial number of our API certificate",
        "5157F09EFDC096DE15EBE81A47057A7232F1B8E1", values.identifier,
    ),
    Variable(
        "TOPUP_WECHAT_PRIVATE_KEY", "", _PROVIDERS, "our private key for WeChat Pay (PEM)", _PEM_PRIVATE,
        values.private_key, secret=True,
    ),
    Variable(
        "TOPUP_WECHAT_API_V3_KEY", "", _PROVIDERS, "API v3 key, 32 characters: decrypts notifications",
        "'the 32 characters set in the merchant platform'", values.api_v3_key, secret=True,
    ),
    Variable(
        "TOPUP_WECHAT_PUBLIC_KEY_ID", "", _PROVIDERS, "ID of WeChat Pay's public key",
        "PUB_KEY_ID_0119000001092024", values.identifier,
    ),
    Variable(
        "TOPUP_WECHAT_PUBLIC_KEY", "", _PROVIDERS, "WeChat Pay's public key (PEM)", _PEM_PUBLIC, values.public_key,
        secret=True,
    ),
    Variable(
        "TOPUP_ALIPAY_URL", "https://openapi.alipay.com/gateway.do", _PROVIDERS, "Alipay's gateway, with its path",
        "https://openapi.alipay.com/gateway.do", values.http_url,
    ),
    Variable("TOPUP_ALIPAY_APP_ID", "", _PROVIDERS, "our app ID at Alipay", "2021000117650139", values.identifier),
    Variable(
        "TOPUP_ALIPAY_SELLER_ID", "", _PROVIDERS, "our seller ID at Alipay", "2088102146225135", values.identifier,
    ),
    Variable(
        "TOPUP_ALIPAY_PRIVATE_KEY", "", _PROVIDERS, "our private key for Alipay (PEM)", _PEM_PRIVATE,
        values.private_key, secret=True,
    ),
    Variable(
        "TOPUP_ALIPAY_PUBLIC_KEY", "", _PROVIDERS, "Alipay's public key (PEM)", _PEM_PUBLIC, values.public_key,
        secret=True,
    ),
    Variable(
        "TOPUP_REFUND_NOTIFY_URL", "", ("worker",), "public address of the gateway for refund notices",
        "https://pay.example/callbacks/wechat", values.http_url,
    ),
    Variable(
        "TOPUP_MQTT_BROKERS", "", ("worker",),
        "JSON array of platforms: `name`, `url` (`mqtt[s]://[user[:password]@]host:port`), and where wanted `version` "
        f'(`"5"` or `"3.1.1"`), `topic` (`{DEFAULT_TOPIC}`), `keepalive_seconds` (60), `publishes_per_second`, '
        "`cafile`, `certfile`, `keyfile`",
        '\'[{"name": "cars", "url": "mqtt://127.0.0.1:1883"}]\'', mqtt_brokers, ("worker",), secret=True,
    ),
    Variable(
        "TOPUP_MQTT_MESSAGE_EXPIRY_SECONDS", "604800", ("worker",), "expiry of a notice (MQTT 5); never scaled",
        "604800", values.whole(1, 365 * _DAY),
    ),
    Variable(
        "TOPUP_HTTP_PORT", "8081 worker, 8082 bridge, 8080 gateway", _SERVERS,
        "port of `/healthz`, `/readyz`, `/metrics` (and callbacks); 0 = any free one", "8081",
        values.whole(0, values.LARGEST_PORT),
    ),
    Variable(
        "TOPUP_HTTP_HOST", "127.0.0.1", _SERVERS, "address that port is opened on", "127.0.0.1",
        values.matching(r"[0-9A-Za-z.:_-]{1,253}", "must be a host name or an address"),
    ),
    Variable(
        "TOPUP_PII_KEY", "", _BOOK, "32 bytes in base64: key of the keyed hash and of encrypted columns",
        '"$(openssl rand -base64 32)"', values.pii_key, _BOOK, secret=True,
    ),
    Variable(
        "TOPUP_PII_OLD_KEYS", "", _BOOK,
        "other keys that decrypt, base64, separated by commas: see docs/keys.md", '"$OLD_KEY"',
        values.pii_keys, secret=True,
    ),
    Variable(
        "TOPUP_TIME_SCALE", "1", _ALL,
        "multiplies what waits for the outside world, above 0 and at most 1; below 1 for demonstrations and tests only",
        "0.05", values.time_scale,
    ),
    Variable(
        "TOPUP_BRIDGE_MAX_FIRST_PASS", "100", ("bridge",),
        "orders in their first pass at which the bridge stops taking more", "100", values.whole(1, 1_000_000),
    ),
    Variable(
        "TOPUP_LOCAL_FIRST", "true", ("worker",),
        "try each step as a local activity first; `false` only to compare throughput", "true", values.boolean,
    ),
    Variable(
        "TOPUP_WORKER_BUILD_ID", "", ("worker",),
        "version of this worker's code, for worker deployment versioning (`docs/versions.md`); none: unversioned",
        "2026-11-23.1", values.identifier,
    ),
    Variable(
        "TOPUP_WORKER_DEPLOYMENT", "topup", ("worker",), "name of the worker deployment that the build ID belongs to",
        "topup", values.identifier,
    ),
    Variable(
        "TOPUP_TWO_PERSONS", "false", ("worker",),
        "`resolve` and `refund_now` take effect when a second operator sends the same within 1 h", "true",
        values.boolean,
    ),
    Variable(
        "TOPUP_RESTORED_AT", "", ("worker",),
        "when an order book from a backup was put in service (RFC 3339): every order asks before it sends; see "
        "docs/restore.md", "2026-11-23T10:00:00Z", values.moment,
    ),
    Variable(
        "TOPUP_WORKER_MAX_ACTIVITIES", "200", ("worker",), "activities one worker runs at once, of each kind", "200",
        values.whole(1, 10_000),
    ),
)  # fmt: skip

DEFAULT_HTTP_PORTS: Final[dict[Process, int]] = {"worker": 8081, "bridge": 8082, "gateway": 8080}

WECHAT: Final = tuple(v for v in VARIABLES if v.name.startswith("TOPUP_WECHAT_") and not v.default)
ALIPAY: Final = tuple(v for v in VARIABLES if v.name.startswith("TOPUP_ALIPAY_") and not v.default)
"""What a provider is configured by; its address has a default and configures nothing."""


def configuration_table() -> str:
    """The table of README's configuration section (Markdown); a test compares the two."""
    lines = ["| variable | default | used by | meaning |", "|---|---|---|---|"]
    for variable in VARIABLES:
        default = f"`{variable.default}`" if variable.default else ""
        if variable.attribute == "http_port":
            default = variable.default
        elif variable.needed_by:
            default = "needed"
        used_by = "all" if variable.used_by == _ALL else ", ".join(variable.used_by)
        lines.append(f"| `{variable.name}` | {default} | {used_by} | {variable.meaning} |")
    return "\n".join(lines) + "\n"
