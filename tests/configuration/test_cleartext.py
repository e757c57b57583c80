"""What travels in clear beyond this machine is refused, unless TOPUP_ALLOW_CLEARTEXT names it (contracts §9)."""

import pytest

from configuration.processes import (
    BridgeSettings,
    DlqSettings,
    DoctorSettings,
    GatewaySettings,
    SetupSettings,
    WorkerSettings,
)
from runtime.settings import ProcessSettings, SettingsError, load
from runtime.values import is_loopback
from tests.runtime import environments

CARRIER = {"TOPUP_CARRIER_URL": "http://carrier.example"}
WECHAT = {"TOPUP_WECHAT_URL": "http://wechat.example"}
ALIPAY = {"TOPUP_ALIPAY_URL": "http://alipay.example/gateway.do"}
MQTT = {
    "TOPUP_MQTT_BROKERS": '[{"name": "old", "url": "mqtts://a.example"}, {"name": "new", "url": "mqtt://b.example"}]'
}
KAFKA = {"TOPUP_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092,kafka.example:9092"}
SASL_IN_CLEAR = {
    **KAFKA,
    "TOPUP_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "TOPUP_KAFKA_SASL_MECHANISM": "PLAIN",
    "TOPUP_KAFKA_SASL_USERNAME": "topup",
    "TOPUP_KAFKA_SASL_PASSWORD": "5ecret",
}
DATABASE = {"TOPUP_DATABASE_URL": "postgresql://topup:5ecret@127.0.0.1,db.example/topup"}


def database(query: str) -> dict[str, str]:
    return {"TOPUP_DATABASE_URL": f"{DATABASE['TOPUP_DATABASE_URL']}?{query}"}


REFUSED = [
    (WorkerSettings, CARRIER, "carrier", "TOPUP_CARRIER_URL"),
    (WorkerSettings, WECHAT, "provider", "TOPUP_WECHAT_URL"),
    (WorkerSettings, ALIPAY, "provider", "TOPUP_ALIPAY_URL"),
    (WorkerSettings, MQTT, "mqtt", "TOPUP_MQTT_BROKERS"),
    (BridgeSettings, KAFKA, "kafka", "TOPUP_KAFKA_BOOTSTRAP_SERVERS"),
    (BridgeSettings, SASL_IN_CLEAR, "kafka", "TOPUP_KAFKA_BOOTSTRAP_SERVERS"),
    (DlqSettings, KAFKA, "kafka", "TOPUP_KAFKA_BOOTSTRAP_SERVERS"),
    (SetupSettings, {**KAFKA, **DATABASE}, "kafka,database", "TOPUP_DATABASE_URL"),
    (WorkerSettings, DATABASE, "database", "TOPUP_DATABASE_URL"),
    (WorkerSettings, database("sslmode=prefer"), "database", "TOPUP_DATABASE_URL"),
    (WorkerSettings, database("sslmode=disable"), "database", "TOPUP_DATABASE_URL"),
    (DoctorSettings, DATABASE, "database", "TOPUP_DATABASE_URL"),
    (WorkerSettings, {"TOPUP_OTLP_ENDPOINT": "http://collector.example:4318"}, "traces", "TOPUP_OTLP_ENDPOINT"),
    (GatewaySettings, {"TOPUP_ORDER_LOOKUP_URL": "http://orders.example/paid"}, "lookup", "TOPUP_ORDER_LOOKUP_URL"),
]


def environment(process: type[ProcessSettings]) -> dict[str, str]:
    if issubclass(process, WorkerSettings):
        return environments.worker()
    if issubclass(process, GatewaySettings):
        return environments.bridge() | environments.wechat()
    return environments.bridge()


@pytest.mark.parametrize(("process", "change", "word", "variable"), REFUSED)
def test_cleartext_beyond_this_machine_is_refused_unless_it_is_named(process, change, word, variable):
    environ = environment(process) | change

    with pytest.raises(SettingsError) as raised:
        load(environ, process)

    assert any(variable in fault and "TOPUP_ALLOW_CLEARTEXT=" in fault for fault in raised.value.faults)
    assert "5ecret" not in "".join(raised.value.faults)
    allowed = load(environ | {"TOPUP_ALLOW_CLEARTEXT": word}, process)
    assert any("TOPUP_ALLOW_CLEARTEXT names" in warning for warning in allowed.warnings)


@pytest.mark.parametrize(("process", "change", "word", "variable"), REFUSED)
def test_to_allow_one_part_allows_no_other(process, change, word, variable):
    others = ",".join({"carrier", "provider", "mqtt", "kafka", "database", "lookup", "traces"} - set(word.split(",")))

    with pytest.raises(SettingsError, match="TOPUP_ALLOW_CLEARTEXT"):
        load(environment(process) | change | {"TOPUP_ALLOW_CLEARTEXT": others}, process)


@pytest.mark.parametrize(
    ("process", "change"),
    [
        (WorkerSettings, {"TOPUP_CARRIER_URL": "https://carrier.example"}),
        (WorkerSettings, {"TOPUP_CARRIER_URL": "http://[::1]:9000"}),
        (WorkerSettings, {"TOPUP_CARRIER_URL": "http://localhost:9000"}),
        (WorkerSettings, database("sslmode=require")),
        (WorkerSettings, {"TOPUP_DATABASE_URL": "postgresql:///topup?host=/run/postgresql"}),
        (BridgeSettings, {**KAFKA, "TOPUP_KAFKA_SECURITY_PROTOCOL": "SSL"}),
        (WorkerSettings, {"TOPUP_ALLOW_CLEARTEXT": "false"}),
    ],
)
def test_what_is_encrypted_or_stays_on_this_machine_needs_no_permission(process, change):
    assert not load(environment(process) | change, process).allow_cleartext


@pytest.mark.parametrize("text", ["true", "all", "kafka;database", "kafka,", "Kafka"])
def test_a_word_that_names_no_part_is_refused(text):
    with pytest.raises(
        SettingsError, match="must be false, or some of carrier, provider, mqtt, kafka, database, lookup"
    ):
        load(environments.worker() | {"TOPUP_ALLOW_CLEARTEXT": text}, WorkerSettings)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("LOCALHOST.", True),
        ("a.localhost", True),
        ("127.0.0.1.example", False),
        ("localhost.example", False),
        ("notlocalhost", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("2130706433", False),
        ("", False),
    ],
)
def test_only_this_machine_counts_as_this_machine(host, loopback):
    assert is_loopback(host) is loopback
