"""Each process demands what it needs, reads nothing else, and says all that is wrong at once."""

import re

import pytest

from adapters.payments.wechat.settings import WeChatPayRefunds
from configuration.processes import (
    BridgeSettings,
    DlqSettings,
    DoctorSettings,
    OrdersSettings,
    RunsSettings,
    SetupSettings,
    WorkerSettings,
)
from runtime.settings import load, variables_of
from tests.configuration.faults import faults, names_read_by, only_fault
from tests.runtime import environments

NEEDED_BY_BRIDGE = ("TOPUP_DATABASE_URL", "TOPUP_KAFKA_BOOTSTRAP_SERVERS", "TOPUP_PII_KEY")


NEEDED_BY_WORKER = (
    "TOPUP_DATABASE_URL",
    "TOPUP_PII_KEY",
    "TOPUP_CARRIER_URL",
    "TOPUP_CARRIER_TOKEN",
    "TOPUP_MQTT_BROKERS",
)


def test_defaults_are_those_of_the_contract():
    settings = load(environments.bridge(), BridgeSettings)
    assert settings.task_queue == "topup-orders"
    assert (settings.kafka_topic, settings.kafka_dlq_topic) == ("topup.paid-orders", "topup.paid-orders.dlq")
    assert settings.kafka_group == "topup-bridge"
    assert settings.kafka_api_version is None
    assert settings.kafka_security_protocol == "PLAINTEXT"
    assert (settings.http_host, settings.http_port) == ("127.0.0.1", 8082)
    assert settings.time_scale == 1
    assert settings.warnings == ()
    assert (settings.temporal.address, settings.temporal.namespace) == ("127.0.0.1:7233", "default")


def test_the_providers_are_at_their_public_addresses_unless_told_otherwise():
    environ = {name: text for name, text in environments.worker().items() if not name.endswith("_URL")}
    kept = {name: environments.worker()[name] for name in ("TOPUP_DATABASE_URL", "TOPUP_CARRIER_URL")}
    payments = load({**environ, **kept}, WorkerSettings).payments
    assert payments["wechat"].url == "https://api.mch.weixin.qq.com"
    assert payments["alipay"].url == "https://openapi.alipay.com/gateway.do"
    assert getattr(payments["wechat"], "refund_notify_url", "") is None


def test_each_server_has_a_port_of_its_own():
    assert load(environments.worker(), WorkerSettings).http_port == 8081
    assert load(environments.bridge(), BridgeSettings).http_port == 8082
    assert load({**environments.bridge(), "TOPUP_HTTP_PORT": "0"}, BridgeSettings).http_port == 0


@pytest.mark.parametrize("name", NEEDED_BY_BRIDGE)
def test_a_bridge_says_what_it_lacks(name):
    environ = environments.bridge()
    del environ[name]
    assert only_fault(environ, BridgeSettings).startswith(
        f"{name} is not set and the bridge needs it, for example {name}="
    )


@pytest.mark.parametrize("name", NEEDED_BY_WORKER)
def test_a_worker_says_what_it_lacks(name):
    environ = environments.worker()
    del environ[name]
    assert only_fault(environ, WorkerSettings).startswith(
        f"{name} is not set and the worker needs it, for example {name}="
    )


def test_a_process_reads_nothing_that_it_does_not_use():
    assert not {name for name in names_read_by(BridgeSettings) if re.search("CARRIER|MQTT|WECHAT|ALIPAY", name)}
    assert not {"TOPUP_KAFKA_GROUP", "TOPUP_KAFKA_DLQ_TOPIC"} & names_read_by(WorkerSettings)
    assert not {"TOPUP_WECHAT_APPID", "TOPUP_WECHAT_API_V3_KEY"} & names_read_by(WorkerSettings)
    assert "TOPUP_PII_KEY" not in names_read_by(SetupSettings)
    assert {name for name in names_read_by(DlqSettings) if "KAFKA" not in name} == {
        "TOPUP_ALLOW_CLEARTEXT",
        "TOPUP_DATABASE_URL",
        "TOPUP_RECORD_KEY",
        "TOPUP_RECORD_OLD_KEYS",
        "TOPUP_TIME_SCALE",
        "TOPUP_TWO_PERSONS",
    }


def test_a_worker_reads_how_kafka_is_reached_only_where_it_is_and_then_all_of_it():
    kafka = {"TOPUP_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092", "TOPUP_ATTACH_KEY": environments.PII_KEY}

    assert load(environments.worker(), WorkerSettings).intake is None
    with_kafka = load(environments.worker() | kafka, WorkerSettings).intake
    assert with_kafka is not None
    assert (len(with_kafka.attach_keys), with_kafka.kafka_unmatched_topic) == (1, "topup.payments.unmatched")
    broken = environments.worker() | kafka | {"TOPUP_KAFKA_TOPIC": "paid orders"}
    assert only_fault(broken, WorkerSettings).startswith("TOPUP_KAFKA_TOPIC")


def test_a_worker_needs_no_app_id_and_no_api_v3_key_and_may_have_them():
    environ = environments.worker()
    expected = load(environ, WorkerSettings)
    for name in ("TOPUP_WECHAT_APPID", "TOPUP_WECHAT_API_V3_KEY"):
        del environ[name]
    assert load(environ, WorkerSettings) == expected
    assert expected.warnings == ()


def test_setup_needs_the_database_and_kafka_alone():
    names = {fault.split()[0] for fault in faults({}, SetupSettings)}
    assert names == {"TOPUP_DATABASE_URL", "TOPUP_KAFKA_BOOTSTRAP_SERVERS"}


def test_a_doctor_loads_with_nothing_set():
    settings = load({}, DoctorSettings)
    assert (settings.database_url, settings.pii_key, settings.mqtt_brokers, settings.payments) == ("", b"", (), {})
    assert (settings.carrier.url, settings.carrier.token) == ("", "")


def test_a_command_that_only_looks_at_runs_needs_nothing_and_one_for_orders_the_book():
    assert load({}, RunsSettings).database_url == ""
    names = {fault.split()[0] for fault in faults({}, OrdersSettings)}
    assert names == {"TOPUP_DATABASE_URL", "TOPUP_PII_KEY"}


def test_a_doctor_checks_what_is_set():
    assert only_fault({"TOPUP_WECHAT_API_V3_KEY": "short"}, DoctorSettings).startswith("TOPUP_WECHAT_API_V3_KEY")


def test_all_faults_are_told_at_once_and_each_with_an_example():
    environ = {**environments.worker(), "TOPUP_TIME_SCALE": "2", "TOPUP_HTTP_PORT": "http", "TOPUP_CARRIER_URL": "c"}
    del environ["TOPUP_DATABASE_URL"]
    found = faults(environ, WorkerSettings)
    assert len(found) == 4
    for fault in found:
        name = fault.split()[0]
        assert re.search(rf", for example {name}=\S.*\.$", fault), fault
        assert "\n" not in fault


def test_an_empty_variable_counts_as_unset():
    assert load(
        {**environments.bridge(), "TOPUP_KAFKA_GROUP": "", "TOPUP_CARRIER_URL": ""}, BridgeSettings
    ).kafka_group == ("topup-bridge")


@pytest.mark.parametrize("name", [one.name for one in variables_of(WeChatPayRefunds) if one.needed])
def test_a_partly_configured_provider_is_a_fault_that_names_what_is_missing(name):
    environ = environments.worker()
    del environ[name]
    assert name in only_fault(environ, WorkerSettings)


def test_one_provider_is_enough_and_none_is_a_fault():
    environ = {k: v for k, v in environments.worker().items() if "WECHAT" not in k}
    settings = load(environ, WorkerSettings)
    assert settings.payments.keys() == {"alipay"}
    environ = {k: v for k, v in environ.items() if "ALIPAY" not in k}
    fault = only_fault(environ, WorkerSettings)
    assert "No payment provider" in fault
    assert "TOPUP_WECHAT_MCHID" in fault
    assert "TOPUP_ALIPAY_APP_ID" in fault


def test_the_address_of_a_provider_alone_configures_nothing():
    environ = {k: v for k, v in environments.worker().items() if "WECHAT" not in k}
    assert "wechat" not in load({**environ, "TOPUP_WECHAT_URL": "http://127.0.0.1:1"}, WorkerSettings).payments


def test_what_a_process_does_not_read_is_not_its_business():
    assert load({**environments.bridge(), "TOPUP_MQTT_BROKERS": "cars"}, BridgeSettings).warnings == ()
    assert load({**environments.worker(), "TOPUP_KAFKA_TOPIC": "paid orders"}, WorkerSettings).warnings == ()


def test_a_misspelt_variable_is_a_warning_with_the_closest_name():
    environ = {**environments.bridge(), "TOPUP_KAFKA_TOPICS": "x", "TOPUP_PII_KEYS_FILE": "y", "TOPUP_XYZZY": "z"}
    warnings = load(environ, BridgeSettings).warnings
    assert len(warnings) == 3
    assert "did you mean TOPUP_KAFKA_TOPIC?" in warnings[0]
    assert "did you mean TOPUP_PII_KEY?" in warnings[1]
    assert "README" in warnings[2]
