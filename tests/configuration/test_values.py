"""A value that can't be right is one fault that names its variable and shows no secret; a right one comes typed."""

import base64

import pytest

from adapters.payments.wechat.settings import CALLBACK_PATH
from configuration.processes import BridgeSettings, WorkerSettings
from gateway.callbacks import PATHS
from runtime.settings import load
from tests.configuration.faults import faults, only_fault
from tests.runtime import environments


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("TOPUP_TIME_SCALE", "0"),
        ("TOPUP_TIME_SCALE", "1.01"),
        ("TOPUP_TIME_SCALE", "-1"),
        ("TOPUP_TIME_SCALE", "nan"),
        ("TOPUP_TIME_SCALE", "inf"),
        ("TOPUP_TIME_SCALE", "fast"),
        ("TOPUP_DATABASE_URL", "mysql://u:hunter2secret@h/d"),
        ("TOPUP_DATABASE_URL", "postgresql+asyncpg://u:hunter2secret@h/d"),
        ("TOPUP_DATABASE_URL", "postgresql:///d"),
        ("TOPUP_DATABASE_URL", "postgresql://u:hunter2secret@h"),
        ("TOPUP_DATABASE_URL", "postgresql://u:hunter2secret@h:port/d"),
        ("TOPUP_DATABASE_URL", "sqlite://"),
        ("TOPUP_DATABASE_URL", "sqlite:///"),
        ("TOPUP_DATABASE_URL", "sqlite:///:memory:"),
        ("TOPUP_DATABASE_URL", "topup.db"),
        ("TOPUP_PII_KEY", "c2hvcnQ="),
        ("TOPUP_PII_KEY", "not base64, not at all, whatever the length!"),
        ("TOPUP_PII_KEY", base64.b64encode(bytes(33)).decode()),
        ("TOPUP_CARRIER_URL", "carrier.example"),
        ("TOPUP_CARRIER_URL", "ftp://carrier.example"),
        ("TOPUP_CARRIER_URL", "https://"),
        ("TOPUP_CARRIER_URL", "https://user:pw@carrier.example"),
        ("TOPUP_CARRIER_URL", "https://carrier.example/tmf-api/productOrderingManagement/v4"),
        ("TOPUP_CARRIER_URL", "https://carrier.example:99999"),
        ("TOPUP_CARRIER_DIALECT", "soap"),
        ("TOPUP_CARRIER_TOKEN", "two words"),
        ("TOPUP_HTTP_PORT", "65536"),
        ("TOPUP_HTTP_PORT", "-1"),
        ("TOPUP_LOCAL_FIRST", "yes"),
        ("TOPUP_WECHAT_PRIVATE_KEY", "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----"),
        ("TOPUP_WECHAT_PUBLIC_KEY", "MIIBIjANBgkq"),
        ("TOPUP_MQTT_BROKERS", "[]"),
        ("TOPUP_REFUND_NOTIFY_URL", "pay.example"),
    ],
)
def test_a_wrong_value_is_one_fault_that_names_the_variable_and_shows_no_secret(name, text):
    fault = only_fault({**environments.worker(), name: text}, WorkerSettings)
    assert fault.startswith(name)
    assert f"for example {name}=" in fault
    assert "hunter2secret" not in fault
    assert "MIIB" not in fault


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("TOPUP_KAFKA_BOOTSTRAP_SERVERS", "kafka"),
        ("TOPUP_KAFKA_BOOTSTRAP_SERVERS", "kafka:0"),
        ("TOPUP_KAFKA_BOOTSTRAP_SERVERS", "kafka:9092,"),
        ("TOPUP_KAFKA_BOOTSTRAP_SERVERS", "http://kafka:9092"),
        ("TOPUP_KAFKA_BOOTSTRAP_SERVERS", "user:hunter2secret@kafka:9092"),
        ("TOPUP_KAFKA_TOPIC", "paid orders"),
        ("TOPUP_KAFKA_API_VERSION", "two"),
        ("TOPUP_KAFKA_SECURITY_PROTOCOL", "TLS"),
        ("TOPUP_KAFKA_SASL_MECHANISM", "MD5"),
        ("TOPUP_BRIDGE_MAX_FIRST_PASS", "0"),
    ],
)
def test_a_wrong_value_of_the_bridge_likewise(name, text):
    fault = only_fault({**environments.bridge(), name: text}, BridgeSettings)
    assert fault.startswith(name)
    assert f"for example {name}=" in fault
    assert "hunter2secret" not in fault


def test_topic_and_dead_letter_topic_differ():
    environ = {**environments.bridge(), "TOPUP_KAFKA_DLQ_TOPIC": "topup.paid-orders"}
    assert only_fault(environ, BridgeSettings).startswith("TOPUP_KAFKA_DLQ_TOPIC")


def test_sasl_needs_mechanism_user_and_password_and_a_certificate_its_key():
    environ = {**environments.bridge(), "TOPUP_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}
    assert len(faults(environ, BridgeSettings)) == 3
    environ = {**environments.bridge(), "TOPUP_KAFKA_SSL_CERTFILE": "c.pem"}
    assert only_fault(environ, BridgeSettings).startswith("TOPUP_KAFKA_SSL_KEYFILE")


def test_values_come_typed():
    environ = {
        **environments.bridge(),
        "TOPUP_KAFKA_API_VERSION": "2.3",
        "TOPUP_KAFKA_BOOTSTRAP_SERVERS": "a:1, [::1]:2",
        "TOPUP_ALLOW_CLEARTEXT": "kafka, mqtt",
    }
    settings = load(environ, BridgeSettings)
    assert settings.kafka_api_version == (2, 3)
    assert settings.kafka_bootstrap_servers == "a:1,[::1]:2"
    assert settings.allow_cleartext == {"kafka", "mqtt"}
    assert settings.pii_key == bytes(range(32))
    changes = {"TOPUP_LOCAL_FIRST": "false", "TOPUP_CARRIER_URL": "https://carrier.example/"}
    worker = load({**environments.worker(), **changes}, WorkerSettings)
    assert worker.local_first is False
    assert worker.carrier.url == "https://carrier.example"


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("https://pay.example", "https://pay.example/callbacks/wechat"),
        ("https://pay.example:8443/", "https://pay.example:8443/callbacks/wechat"),
        ("https://pay.example/shop/callbacks/wechat", "https://pay.example/shop/callbacks/wechat"),
    ],
)
def test_refund_notices_go_to_the_gateways_path_where_its_address_names_none(value: str, address: str):
    settings = load({**environments.worker(), "TOPUP_REFUND_NOTIFY_URL": value}, WorkerSettings)
    assert getattr(settings.payments["wechat"], "refund_notify_url", "") == address
    assert CALLBACK_PATH in PATHS


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TOPUP_CARRIER_URL", "https://user:hunter2@carrier.test/"),
        ("TOPUP_CARRIER_URL", "https://carrier.test/?token=hunter2"),
        ("TOPUP_REFUND_NOTIFY_URL", "https://user:hunter2@topup.test/"),
        ("TOPUP_WECHAT_URL", "https://user:hunter2@wechat.test/"),
        ("TOPUP_ALIPAY_URL", "https://user:hunter2@alipay.test/"),
        ("TEMPORAL_ADDRESS", "user:hunter2@temporal:7233"),
    ],
)
def test_an_address_with_a_password_is_refused_in_one_sentence_that_does_not_show_it(variable: str, value: str):
    fault = only_fault({**environments.worker(), variable: value}, WorkerSettings)
    assert fault.startswith(variable)
    assert "hunter2" not in fault
