import base64
import json
import re
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runtime.settings import VARIABLES, Process, Settings, SettingsError, load
from runtime.variables import configuration_table
from tests.runtime import environments
from workers.composition import carrier_times

NEEDED_BY_BRIDGE = ("TOPUP_DATABASE_URL", "TOPUP_KAFKA_BOOTSTRAP_SERVERS", "TOPUP_PII_KEY")
NEEDED_BY_WORKER = (
    "TOPUP_DATABASE_URL",
    "TOPUP_PII_KEY",
    "TOPUP_CARRIER_URL",
    "TOPUP_CARRIER_TOKEN",
    "TOPUP_MQTT_BROKERS",
)
CONTRACT_VARIABLES = set(
    re.findall(
        r"\w+",
        """
    TASK_QUEUE DATABASE_URL KAFKA_BOOTSTRAP_SERVERS KAFKA_TOPIC KAFKA_DLQ_TOPIC KAFKA_GROUP KAFKA_SECURITY_PROTOCOL
    KAFKA_SASL_MECHANISM KAFKA_SASL_USERNAME KAFKA_SASL_PASSWORD KAFKA_SSL_CAFILE KAFKA_SSL_CERTFILE KAFKA_SSL_KEYFILE
    KAFKA_API_VERSION CARRIER_DIALECT CARRIER_URL CARRIER_TOKEN WECHAT_URL WECHAT_MCHID WECHAT_APPID WECHAT_SERIAL_NO
    WECHAT_PRIVATE_KEY WECHAT_API_V3_KEY WECHAT_PUBLIC_KEY_ID WECHAT_PUBLIC_KEY ALIPAY_URL ALIPAY_APP_ID
    ALIPAY_SELLER_ID ALIPAY_PRIVATE_KEY ALIPAY_PUBLIC_KEY REFUND_NOTIFY_URL MQTT_BROKERS HTTP_PORT HTTP_HOST PII_KEY
    TIME_SCALE
    """,
    )
)
SECRETS = ("hunter2secret", "mqtt5ecret", "carrier-token-5ecret", environments.PII_KEY, "0123456789abcdef", "BEGIN")


def faults(environ: dict[str, str], process: Process) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as raised:
        load(environ, process)
    return raised.value.faults


def only_fault(environ: dict[str, str], process: Process) -> str:
    found = faults(environ, process)
    assert len(found) == 1, found
    return found[0]


def test_every_variable_of_the_contract_is_known():
    assert {f"TOPUP_{name}" for name in CONTRACT_VARIABLES} <= {variable.name for variable in VARIABLES}


def test_every_variable_is_an_attribute_and_every_attribute_a_variable():
    attributes = {field.name for field in fields(Settings)} - {"process", "temporal", "warnings"}
    assert attributes == {variable.attribute for variable in VARIABLES}
    assert len(attributes) == len(VARIABLES)


def test_every_variable_is_a_row_of_the_readme_table():
    rows = configuration_table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [variable.name for variable in VARIABLES]


@pytest.mark.parametrize("variable", [v for v in VARIABLES if v.attribute != "http_port"], ids=lambda v: v.name)
def test_every_default_and_every_plain_example_loads(variable):
    if variable.default:
        variable.parse(variable.default)
    if not variable.secret:
        variable.parse(variable.example.strip("'"))


def test_defaults_are_those_of_the_contract():
    settings = load(environments.bridge(), "bridge")
    assert settings.task_queue == "topup-orders"
    assert (settings.kafka_topic, settings.kafka_dlq_topic) == ("topup.paid-orders", "topup.paid-orders.dlq")
    assert settings.kafka_group == "topup-bridge"
    assert settings.kafka_api_version is None
    assert settings.kafka_security_protocol == "PLAINTEXT"
    assert settings.wechat_url == "https://api.mch.weixin.qq.com"
    assert settings.alipay_url == "https://openapi.alipay.com/gateway.do"
    assert settings.refund_notify_url is None
    assert (settings.http_host, settings.http_port) == ("127.0.0.1", 8082)
    assert settings.time_scale == 1
    assert settings.warnings == ()
    assert (settings.temporal.address, settings.temporal.namespace) == ("127.0.0.1:7233", "default")


def test_each_server_has_a_port_of_its_own():
    assert load(environments.worker(), "worker").http_port == 8081
    gateway = {"TOPUP_KAFKA_BOOTSTRAP_SERVERS": "k:9092", **environments.alipay()}
    assert load(gateway, "gateway").http_port == 8080
    assert load({**gateway, "TOPUP_HTTP_PORT": "0"}, "gateway").http_port == 0


@pytest.mark.parametrize("name", NEEDED_BY_BRIDGE)
def test_a_bridge_says_what_it_lacks(name):
    environ = environments.bridge()
    del environ[name]
    assert only_fault(environ, "bridge").startswith(f"{name} is not set and the bridge needs it, for example {name}=")


@pytest.mark.parametrize("name", NEEDED_BY_WORKER)
def test_a_worker_says_what_it_lacks(name):
    environ = environments.worker()
    del environ[name]
    assert only_fault(environ, "worker").startswith(f"{name} is not set and the worker needs it, for example {name}=")


def test_a_bridge_needs_neither_carrier_nor_brokers_nor_providers_and_a_worker_no_kafka():
    bridge = load(environments.bridge(), "bridge")
    assert (bridge.carrier_url, bridge.mqtt_brokers, bridge.wechat_configured) == ("", (), False)
    assert load(environments.worker(), "worker").kafka_bootstrap_servers == ""


def test_setup_needs_the_database_and_kafka_alone():
    names = [fault.split()[0] for fault in faults({}, "setup")]
    assert names == ["TOPUP_DATABASE_URL", "TOPUP_KAFKA_BOOTSTRAP_SERVERS"]


def test_a_doctor_loads_with_nothing_set():
    assert load({}, "doctor").database_url == ""


def test_all_faults_are_told_at_once_and_each_with_an_example():
    environ = {**environments.worker(), "TOPUP_TIME_SCALE": "2", "TOPUP_HTTP_PORT": "http", "TOPUP_CARRIER_URL": "c"}
    del environ["TOPUP_DATABASE_URL"]
    found = faults(environ, "worker")
    assert len(found) == 4
    for fault in found:
        name = fault.split()[0]
        assert re.search(rf", for example {name}=\S.*\.$", fault), fault
        assert "\n" not in fault


def test_an_empty_variable_counts_as_unset():
    assert load({**environments.bridge(), "TOPUP_KAFKA_GROUP": "", "TOPUP_CARRIER_URL": ""}, "bridge").kafka_group == (
        "topup-bridge"
    )


@pytest.mark.parametrize("name", [v.name for v in VARIABLES if "WECHAT" in v.name and not v.default])
def test_a_partly_configured_provider_is_a_fault_that_names_what_is_missing(name):
    environ = environments.worker()
    del environ[name]
    assert name in only_fault(environ, "worker")


def test_one_provider_is_enough_and_none_is_a_fault():
    environ = {k: v for k, v in environments.worker().items() if "WECHAT" not in k}
    settings = load(environ, "worker")
    assert (settings.wechat_configured, settings.alipay_configured) == (False, True)
    environ = {k: v for k, v in environ.items() if "ALIPAY" not in k}
    fault = only_fault(environ, "worker")
    assert "No payment provider" in fault
    assert "TOPUP_WECHAT_MCHID" in fault
    assert "TOPUP_ALIPAY_APP_ID" in fault


def test_the_address_of_a_provider_alone_configures_nothing():
    environ = {k: v for k, v in environments.worker().items() if "WECHAT" not in k}
    assert not load({**environ, "TOPUP_WECHAT_URL": "http://127.0.0.1:1"}, "worker").wechat_configured


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
        ("TOPUP_KAFKA_BOOTSTRAP_SERVERS", "kafka"),
        ("TOPUP_KAFKA_BOOTSTRAP_SERVERS", "kafka:0"),
        ("TOPUP_KAFKA_BOOTSTRAP_SERVERS", "kafka:9092,"),
        ("TOPUP_KAFKA_BOOTSTRAP_SERVERS", "http://kafka:9092"),
        ("TOPUP_KAFKA_TOPIC", "paid orders"),
        ("TOPUP_KAFKA_API_VERSION", "two"),
        ("TOPUP_KAFKA_SECURITY_PROTOCOL", "TLS"),
        ("TOPUP_HTTP_PORT", "65536"),
        ("TOPUP_HTTP_PORT", "-1"),
        ("TOPUP_LOCAL_FIRST", "yes"),
        ("TOPUP_BRIDGE_MAX_FIRST_PASS", "0"),
        ("TOPUP_WECHAT_API_V3_KEY", "short"),
        ("TOPUP_WECHAT_PRIVATE_KEY", "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----"),
        ("TOPUP_WECHAT_PUBLIC_KEY", "MIIBIjANBgkq"),
        ("TOPUP_MQTT_BROKERS", "[]"),
        ("TOPUP_REFUND_NOTIFY_URL", "pay.example"),
    ],
)
def test_a_wrong_value_is_one_fault_that_names_the_variable_and_shows_no_secret(name, text):
    fault = only_fault({**environments.worker(), name: text}, "worker")
    assert fault.startswith(name)
    assert f"for example {name}=" in fault
    assert "hunter2secret" not in fault
    assert "MIIB" not in fault


def test_what_is_set_is_checked_whichever_process_loads_it():
    assert only_fault({**environments.bridge(), "TOPUP_MQTT_BROKERS": "cars"}, "bridge").startswith(
        "TOPUP_MQTT_BROKERS"
    )


def test_a_public_key_is_no_private_key_and_a_short_key_is_none():
    private, public = environments.key_pair()
    environ = {**environments.worker(), "TOPUP_ALIPAY_PRIVATE_KEY": public, "TOPUP_ALIPAY_PUBLIC_KEY": private}
    assert [fault.split()[0] for fault in faults(environ, "worker")] == [
        "TOPUP_ALIPAY_PRIVATE_KEY",
        "TOPUP_ALIPAY_PUBLIC_KEY",
    ]
    environ = {**environments.worker(), "TOPUP_ALIPAY_PRIVATE_KEY": environments.key_pair(1024)[0]}
    assert "2048 bits" in only_fault(environ, "worker")


def test_a_pem_may_come_on_one_line_with_line_breaks_written_out():
    private, _ = environments.key_pair()
    environ = {**environments.worker(), "TOPUP_ALIPAY_PRIVATE_KEY": private.replace("\n", "\\n")}
    assert load(environ, "worker").alipay_private_key == private


def test_no_secret_is_in_the_repr():
    shown = repr(load({**environments.worker(), **environments.bridge()}, "worker"))
    for secret in SECRETS:
        assert secret not in shown


@pytest.mark.parametrize("name", [v.name for v in VARIABLES if v.name in environments.worker()])
def test_each_variable_may_come_from_a_file(tmp_path, name):
    environ = environments.worker()
    expected = load(environ, "worker")
    file = tmp_path / "value"
    file.write_text(environ.pop(name) + "\n")
    assert load({**environ, f"{name}_FILE": str(file)}, "worker") == expected


def test_a_file_that_cannot_be_read_is_a_fault_that_names_it(tmp_path):
    environ = environments.worker()
    del environ["TOPUP_CARRIER_TOKEN"]
    missing = {**environ, "TOPUP_CARRIER_TOKEN_FILE": str(tmp_path / "none")}
    assert only_fault(missing, "worker").startswith("TOPUP_CARRIER_TOKEN_FILE names ")
    (tmp_path / "empty").write_text("\n")
    assert "is empty" in only_fault({**environ, "TOPUP_CARRIER_TOKEN_FILE": str(tmp_path / "empty")}, "worker")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    assert "no UTF-8" in only_fault({**environ, "TOPUP_CARRIER_TOKEN_FILE": str(tmp_path / "bytes")}, "worker")
    assert "can't be read" in only_fault({**environ, "TOPUP_CARRIER_TOKEN_FILE": str(tmp_path)}, "worker")


def test_a_variable_and_its_file_at_once_is_a_fault():
    fault = only_fault({**environments.worker(), "TOPUP_CARRIER_TOKEN_FILE": "/nowhere"}, "worker")
    assert "TOPUP_CARRIER_TOKEN_FILE" in fault


def test_a_process_opens_no_file_of_a_secret_that_it_does_not_use():
    assert load({**environments.bridge(), "TOPUP_CARRIER_TOKEN_FILE": "/nowhere"}, "bridge").carrier_token == ""


def test_a_scale_below_one_is_a_warning():
    (warning,) = load({**environments.worker(), "TOPUP_TIME_SCALE": "0.05"}, "worker").warnings
    assert "TOPUP_TIME_SCALE" in warning


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("TOPUP_WECHAT_URL", ""),
        ("TOPUP_ALIPAY_URL", ""),
        ("TOPUP_WECHAT_URL", "https://api2.mch.weixin.qq.com"),
        ("TOPUP_WECHAT_URL", "https://API.MCH.WEIXIN.QQ.COM./"),
        ("TOPUP_ALIPAY_URL", "http://alipay.com:8080/gateway.do"),
    ],
)
@pytest.mark.parametrize("process", ["worker", "bridge"])
def test_scaled_time_is_refused_with_a_real_provider(name, url, process):
    environ = {**environments.bridge(), **environments.worker(), "TOPUP_TIME_SCALE": "0.5", name: url}
    fault = only_fault(environ, process)
    assert fault.startswith("TOPUP_TIME_SCALE")
    assert name in fault


def test_scaled_time_goes_with_a_provider_that_is_not_configured_and_with_look_alikes():
    environ = {k: v for k, v in environments.worker().items() if "ALIPAY" not in k}
    environ |= {"TOPUP_TIME_SCALE": "0.5", "TOPUP_WECHAT_URL": "http://notweixin.qq.com.example"}
    assert load(environ, "worker").time_scale == 0.5


def test_a_misspelt_variable_is_a_warning_with_the_closest_name():
    environ = {**environments.bridge(), "TOPUP_KAFKA_TOPICS": "x", "TOPUP_PII_KEYS_FILE": "y", "TOPUP_XYZZY": "z"}
    warnings = load(environ, "bridge").warnings
    assert len(warnings) == 3
    assert "did you mean TOPUP_KAFKA_TOPIC?" in warnings[0]
    assert "did you mean TOPUP_PII_KEY?" in warnings[1]
    assert "README" in warnings[2]


def test_topic_and_dead_letter_topic_differ():
    environ = {**environments.bridge(), "TOPUP_KAFKA_DLQ_TOPIC": "topup.paid-orders"}
    assert only_fault(environ, "bridge").startswith("TOPUP_KAFKA_DLQ_TOPIC")


def test_sasl_needs_mechanism_user_and_password_and_a_certificate_its_key():
    environ = {**environments.bridge(), "TOPUP_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}
    assert len(faults(environ, "bridge")) == 3
    environ = {**environments.bridge(), "TOPUP_KAFKA_SSL_CERTFILE": "c.pem"}
    assert only_fault(environ, "bridge").startswith("TOPUP_KAFKA_SSL_KEYFILE")


def test_the_completion_date_leaves_room_for_the_slowest_answer():
    environ = {**environments.worker(), "TOPUP_CARRIER_COMPLETION_SECONDS": "75"}
    assert only_fault(environ, "worker").startswith("TOPUP_CARRIER_COMPLETION_SECONDS")
    assert load({**environ, "TOPUP_CARRIER_COMPLETION_SECONDS": "75.5"}, "worker").carrier_completion_seconds == 75.5


CARRIER_TIMES = ("LONGEST_LATENCY", "VISIBILITY_LAG", "COMPLETION")


@settings(max_examples=20, deadline=None)
@given(
    st.tuples(st.floats(1, 3600), st.floats(1, 3600), st.floats(2, 86_400)),
    st.one_of(st.just(1.0), st.floats(1e-6, 0.01), st.floats(0.01, 1)),
)
@example((60, 15, 300), 0.003)
@example((60, 15, 300), 0.001)
@example((60, 90, 300), 0.05)
@example((60, 90, 300), 1)
def test_carrier_times_and_scale_are_a_fault_or_the_worker_can_work_with_them(
    times: tuple[float, float, float], scale: float
):
    """The lag may be longer than the latency; what fits unscaled must fit where each is cut off at 200 ms, too."""
    named = {f"TOPUP_CARRIER_{name}_SECONDS": f"{value:.6f}" for name, value in zip(CARRIER_TIMES, times, strict=True)}
    environ = {**environments.worker(), **named, "TOPUP_TIME_SCALE": f"{scale:.6f}"}
    try:
        loaded = load(environ, "worker")
    except SettingsError as error:
        (fault,) = error.faults
        assert fault.startswith(("TOPUP_CARRIER_COMPLETION_SECONDS", "TOPUP_TIME_SCALE"))
    else:
        made = carrier_times(loaded)
        assert made.completion_window - made.longest_latency > timedelta(seconds=0.19), "a POST has time to leave"


@pytest.mark.parametrize(
    "changed", [{"TOPUP_CARRIER_VISIBILITY_LAG_SECONDS": "90"}, {"TOPUP_TIME_SCALE": "0.003"}], ids=["lag", "scale"]
)
def test_a_lag_may_be_as_long_as_the_longest_latency_or_longer(changed: dict[str, str]):
    times = carrier_times(load({**environments.worker(), **changed}, "worker"))

    assert times.visibility_lag >= times.longest_latency


def test_a_scale_that_leaves_no_time_for_a_post_is_a_fault_of_the_process_that_sends_it():
    environ = {**environments.bridge(), **environments.worker(), "TOPUP_TIME_SCALE": "0.001"}

    assert only_fault(environ, "worker").startswith("TOPUP_TIME_SCALE")
    assert load(environ, "bridge").time_scale == 0.001


def test_values_come_typed():
    environ = {
        **environments.bridge(),
        "TOPUP_KAFKA_API_VERSION": "2.3",
        "TOPUP_KAFKA_BOOTSTRAP_SERVERS": "a:1, [::1]:2",
        "TOPUP_LOCAL_FIRST": "false",
        "TOPUP_CARRIER_URL": "https://carrier.example/",
    }
    settings = load(environ, "bridge")
    assert settings.kafka_api_version == (2, 3)
    assert settings.kafka_bootstrap_servers == "a:1,[::1]:2"
    assert settings.local_first is False
    assert settings.carrier_url == "https://carrier.example"
    assert settings.pii_key == bytes(range(32))


def test_temporal_is_read_as_its_command_reads_it(tmp_path: Path):
    file = tmp_path / "temporal.toml"
    file.write_text('[profile.staging]\naddress = "temporal.example:7233"\nnamespace = "cars"\napi_key = "k3y"\n')
    environ = {**environments.bridge(), "TEMPORAL_CONFIG_FILE": str(file), "TEMPORAL_PROFILE": "staging"}
    temporal = load(environ, "bridge").temporal
    assert (temporal.address, temporal.namespace) == ("temporal.example:7233", "cars")
    assert temporal.connect_config().get("api_key") == "k3y"
    assert "k3y" not in repr(temporal)
    assert load({**environ, "TEMPORAL_ADDRESS": "other:1"}, "bridge").temporal.address == "other:1"


@pytest.mark.parametrize("environ", [{"TEMPORAL_ADDRESS": "temporal"}, {"TEMPORAL_PROFILE": "none"}, {}])
def test_a_wrong_temporal_setting_is_one_fault(tmp_path, environ):
    if not environ:
        (tmp_path / "temporal.toml").write_text("not toml")
        environ = {"TEMPORAL_CONFIG_FILE": str(tmp_path / "temporal.toml")}
    fault = only_fault({**environments.bridge(), **environ}, "bridge")
    assert "TEMPORAL_ADDRESS" in fault
    assert "for example TEMPORAL_ADDRESS=127.0.0.1:7233" in fault


def test_old_keys_come_in_any_number_each_once_and_from_a_file_too(tmp_path: Path):
    first, second = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
    assert load(environments.bridge(), "bridge").pii_old_keys == ()

    settings = load(environments.bridge() | {"TOPUP_PII_OLD_KEYS": f"{first}, {second},{first}"}, "bridge")
    assert settings.pii_old_keys == (bytes([1]) * 32, bytes([2]) * 32)
    assert settings.pii_keys == (settings.pii_key, *settings.pii_old_keys)

    path = tmp_path / "old_keys"
    path.write_text(f"{first}\n")
    settings = load(environments.bridge() | {"TOPUP_PII_OLD_KEYS_FILE": str(path)}, "bridge")
    assert settings.pii_old_keys == (bytes([1]) * 32,)
    assert first not in repr(settings)


@pytest.mark.parametrize("text", ["x", "QUJD", ",", f"{environments.PII_KEY};{environments.PII_KEY}"])
def test_an_old_key_that_is_none_is_a_fault_and_never_shown(text: str):
    sentence = only_fault(environments.bridge() | {"TOPUP_PII_OLD_KEYS": text}, "bridge")

    assert sentence.startswith("TOPUP_PII_OLD_KEYS must be exactly 32 bytes in base64")
    assert environments.PII_KEY not in sentence


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2026-11-23T10:00:00Z", 0), ("2026-11-23T18:00:00+08:00", 0), ("2026-11-23T10:00:00.5Z", 0.5)],
)
def test_the_restore_is_an_instant_and_is_warned_about(text: str, seconds: float):
    settings = load(environments.worker() | {"TOPUP_RESTORED_AT": text}, "worker")

    assert settings.restored_at == datetime(2026, 11, 23, 10, tzinfo=UTC) + timedelta(seconds=seconds)
    assert any("TOPUP_RESTORED_AT" in warning and "asks" in warning for warning in settings.warnings)
    assert load(environments.worker(), "worker").restored_at is None


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-11-23", "2026-11-23T10:00:00", "2026-02-30T10:00:00Z", "2026-11-23T25:00:00Z", "1"]
)
def test_a_restore_without_a_time_zone_or_that_never_was_is_a_fault(text: str):
    assert only_fault(environments.worker() | {"TOPUP_RESTORED_AT": text}, "worker").startswith("TOPUP_RESTORED_AT")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TOPUP_CARRIER_URL", "https://user:hunter2@carrier.test/"),
        ("TOPUP_CARRIER_URL", "https://carrier.test/?token=hunter2"),
        ("TOPUP_REFUND_NOTIFY_URL", "https://user:hunter2@topup.test/"),
        ("TOPUP_WECHAT_URL", "https://user:hunter2@wechat.test/"),
        ("TOPUP_ALIPAY_URL", "https://user:hunter2@alipay.test/"),
        ("TOPUP_KAFKA_BOOTSTRAP_SERVERS", "user:hunter2@kafka:9092"),
        ("TEMPORAL_ADDRESS", "user:hunter2@temporal:7233"),
    ],
)
def test_an_address_with_a_password_is_refused_in_one_sentence_that_does_not_show_it(variable: str, value: str):
    fault = only_fault({**environments.worker(), variable: value}, "worker")
    assert fault.startswith(variable)
    assert "hunter2" not in fault


@pytest.mark.parametrize("address", ["h:99999", "h:0", "h:", ":7233", "h:1:x"])
def test_an_address_of_temporal_that_cannot_be_is_refused(address: str):
    assert "must be host:port" in only_fault({**environments.bridge(), "TEMPORAL_ADDRESS": address}, "bridge")


def test_a_time_scale_in_other_digits_is_refused():
    assert "TOPUP_TIME_SCALE" in only_fault({**environments.bridge(), "TOPUP_TIME_SCALE": "\u0661"}, "bridge")


def test_files_that_tls_needs_are_read_at_start_by_the_process_that_needs_them(tmp_path: Path):
    nothing, text = str(tmp_path / "nothing.pem"), tmp_path / "text.pem"
    text.write_text("no certificate")
    kafka = {"TOPUP_KAFKA_SSL_CAFILE": nothing}
    broker = {"name": "cars", "url": "mqtts://broker:8883", "cafile": nothing}
    mqtt = {"TOPUP_MQTT_BROKERS": json.dumps([broker])}

    fault = only_fault({**environments.bridge(), **kafka}, "bridge")
    assert fault.startswith("TOPUP_KAFKA_SSL_CAFILE names a file that can't be read (No such file or directory)")
    fault = only_fault({**environments.bridge(), "TOPUP_KAFKA_SSL_CAFILE": str(text)}, "bridge")
    assert "holds no certificate in PEM" in fault
    pair = {"TOPUP_KAFKA_SSL_CERTFILE": str(text), "TOPUP_KAFKA_SSL_KEYFILE": str(text)}
    assert only_fault({**environments.bridge(), **pair}, "bridge").startswith("TOPUP_KAFKA_SSL_CERTFILE")
    fault = only_fault({**environments.worker(), **mqtt}, "worker")
    assert fault.startswith("TOPUP_MQTT_BROKERS names a file as `cafile` of cars that can't be read")
    assert load({**environments.worker(), **kafka}, "worker")
    assert load({**environments.bridge(), **mqtt}, "bridge")
