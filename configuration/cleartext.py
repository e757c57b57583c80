"""What travels in clear beyond this machine, and isn't named in TOPUP_ALLOW_CLEARTEXT, is refused (contracts §9).

A bearer token, a password, an order or a record that somebody between has read or changed is as good as theirs.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

from adapters.carriers.registry import Carrier
from adapters.mqtt.settings import Vehicles
from adapters.otlp.settings import Tracing
from adapters.payments.registry import Refunds
from runtime import database_url
from runtime.settings import Group, ProcessSettings, variables_of
from runtime.settings.groups import Database, KafkaConnection, Purchases
from runtime.values import is_loopback


def refusals(settings: ProcessSettings) -> list[str]:
    """A sentence for each part that this process speaks to in clear, over a network, unasked."""
    return [
        f"{variable} leads beyond this machine without TLS: {cure}, or allow it, for example "
        f"TOPUP_ALLOW_CLEARTEXT={word}."
        for word, variable, cure in _in_clear(settings)
        if word not in settings.allow_cleartext
    ]


def _in_clear(settings: ProcessSettings) -> Iterator[tuple[str, str, str]]:
    """The word for it, the variable, and what to set instead."""
    for word, variable, url in _addresses(settings):
        if _http(url):
            yield word, variable, "give an https:// address"
    if isinstance(settings, Vehicles):
        for broker in settings.mqtt_brokers:
            if not (broker.tls or is_loopback(broker.host)):
                yield "mqtt", f"The broker {broker.name} in TOPUP_MQTT_BROKERS", "give an mqtts:// address"
    kafka = settings if isinstance(settings, KafkaConnection) else getattr(settings, "intake", None)
    if isinstance(kafka, KafkaConnection) and _kafka(kafka):
        yield "kafka", "TOPUP_KAFKA_BOOTSTRAP_SERVERS", "set TOPUP_KAFKA_SECURITY_PROTOCOL=SASL_SSL (or SSL)"
    if isinstance(settings, Database) and _database(settings):
        cure = "add ?sslmode=verify-full&sslrootcert=FILE (or sslmode=require, which trusts any server)"
        yield "database", "TOPUP_DATABASE_URL", cure


def _addresses(settings: ProcessSettings) -> Iterator[tuple[str, str, str]]:
    """What is spoken to over HTTP: the word for it, the variable, the address."""
    if isinstance(settings, Carrier):
        yield "carrier", _url_of(settings.carrier), settings.carrier.url
    if isinstance(settings, Refunds):
        for provider in settings.payments.values():
            yield "provider", _url_of(provider), provider.url
    if isinstance(settings, Purchases) and settings.order_lookup_url:
        yield "lookup", "TOPUP_ORDER_LOOKUP_URL", settings.order_lookup_url
    if isinstance(settings, Tracing) and settings.otlp_endpoint:
        yield "traces", "TOPUP_OTLP_ENDPOINT", settings.otlp_endpoint


def _kafka(settings: KafkaConnection) -> bool:
    servers = filter(None, settings.kafka_bootstrap_servers.split(","))
    encrypted = settings.kafka_security_protocol in ("SSL", "SASL_SSL")
    return not encrypted and not all(is_loopback(server.rpartition(":")[0]) for server in servers)


def _database(settings: Database) -> bool:
    where = database_url.parse(settings.database_url) if settings.database_url else None
    if not isinstance(where, database_url.PostgresServers) or not where.in_clear:
        return False
    return not all(host.startswith("/") or is_loopback(host) for host, _ in where.hosts)


def _http(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def _url_of(group: Group) -> str:
    return next(variable.name for variable in variables_of(type(group)) if variable.field == "url")
