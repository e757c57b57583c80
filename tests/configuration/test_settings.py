import base64
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BeforeValidator

from adapters.payments.wechat.settings import WeChatPayRefunds
from configuration.processes import (
    PROCESSES,
    BridgeSettings,
    DlqSettings,
    DoctorSettings,
    OrdersSettings,
    RunsSettings,
    SetupSettings,
    WorkerSettings,
)
from configuration.table import configuration_table
from runtime.settings import Group, ProcessSettings, SettingsError, load, read_by, variables_of
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


def faults(environ: dict[str, str], process: type[ProcessSettings]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as raised:
        load(environ, process)
    return raised.value.faults


def only_fault(environ: dict[str, str], process: type[ProcessSettings]) -> str:
    found = faults(environ, process)
    assert len(found) == 1, found
    return found[0]


VARIABLES = {
    variable.name: (variable, group)
    for process in PROCESSES
    for group in read_by(process)
    for variable in variables_of(group)
}


def names_read_by(process: type[ProcessSettings]) -> set[str]:
    return {variable.name for group in read_by(process) for variable in variables_of(group)}


def declared_groups() -> set[type[Group]]:
    found: set[type[Group]] = set()
    rest = [Group]
    while rest:
        one = rest.pop()
        found.add(one)
        rest += one.__subclasses__()
    return {group for group in found if group.__module__.startswith(("runtime.", "adapters.", "configuration."))}


def test_every_variable_of_the_contract_is_known():
    assert {f"TOPUP_{name}" for name in CONTRACT_VARIABLES} <= VARIABLES.keys()


def test_every_variable_that_is_declared_is_read_by_a_process():
    declared = {variable.name for group in declared_groups() for variable in variables_of(group)}
    assert declared == VARIABLES.keys()


def test_every_variable_is_a_row_of_the_readme_table_once():
    rows = configuration_table().splitlines()[2:]
    names = [row.split("`")[1] for row in rows]
    assert sorted(names) == sorted(VARIABLES)


def test_the_readme_table_shows_who_reads_what_and_no_process_that_is_not_there():
    rows = {
        row.split("`")[1]: [cell.strip() for cell in row.split("|")] for row in configuration_table().splitlines()[2:]
    }
    assert rows["TOPUP_TIME_SCALE"][2:4] == ["`1`", "all"]
    assert rows["TOPUP_HTTP_PORT"][2:4] == [
        "8081 worker, 8082 bridge, 8083 gateway, 8084 codec-server",
        "worker, bridge, gateway, codec-server",
    ]
    assert rows["TOPUP_DATABASE_URL"][2:4] == [
        "needed",
        "worker, bridge, setup, orders, hold, dlq, payments, reconcile",
    ]
    assert rows["TOPUP_WECHAT_MCHID"][2:4] == ["", "worker, gateway, reconcile"]
    assert rows["TOPUP_CARRIER_LONGEST_LATENCY_SECONDS"][2:4] == ["`60`", "worker, reconcile"]
    words = {name.strip() for row in rows.values() for name in row[3].split(",")}
    assert words <= {"all"} | {process.process for process in PROCESSES}


@pytest.mark.parametrize("process", PROCESSES)
def test_no_two_groups_of_a_process_have_a_validator_of_one_name(process):
    """Pydantic keeps validators by their functions' names: of two with one name, only one would ever run."""
    names = [
        name
        for base in process.__mro__
        if issubclass(base, Group)
        for name in base.__pydantic_decorators__.field_validators
        if name in vars(base)
    ]
    assert names
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("name", VARIABLES)
def test_every_default_and_every_plain_example_loads(name):
    variable, group = VARIABLES[name]
    readers = [one for one in group.model_fields[variable.field].metadata if isinstance(one, BeforeValidator)]
    texts = [variable.example.strip("'")] if not variable.secret else []
    texts += [variable.default] if "," not in variable.default else []
    for text in texts:
        for reader in readers:
            reader.func(text)


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


def test_what_a_process_does_not_read_is_not_its_business():
    assert load({**environments.bridge(), "TOPUP_MQTT_BROKERS": "cars"}, BridgeSettings).warnings == ()
    assert load({**environments.worker(), "TOPUP_KAFKA_TOPIC": "paid orders"}, WorkerSettings).warnings == ()


def test_the_faults_of_all_providers_are_told_together():
    environ = {**environments.worker(), "TOPUP_WECHAT_PUBLIC_KEY": "x", "TOPUP_ALIPAY_PUBLIC_KEY": "y"}
    assert {fault.split()[0] for fault in faults(environ, WorkerSettings)} == {
        "TOPUP_WECHAT_PUBLIC_KEY",
        "TOPUP_ALIPAY_PUBLIC_KEY",
    }


def test_a_public_key_is_no_private_key_and_a_short_key_is_none():
    private, public = environments.key_pair()
    environ = {**environments.worker(), "TOPUP_ALIPAY_PRIVATE_KEY": public, "TOPUP_ALIPAY_PUBLIC_KEY": private}
    assert {fault.split()[0] for fault in faults(environ, WorkerSettings)} == {
        "TOPUP_ALIPAY_PRIVATE_KEY",
        "TOPUP_ALIPAY_PUBLIC_KEY",
    }
    environ = {**environments.worker(), "TOPUP_ALIPAY_PRIVATE_KEY": environments.key_pair(1024)[0]}
    assert "2048 bits" in only_fault(environ, WorkerSettings)


@pytest.mark.parametrize("provider", ["WECHAT", "ALIPAY"])
def test_our_own_key_is_not_the_providers(provider: str):
    private, public = environments.key_pair()
    names = (f"TOPUP_{provider}_PRIVATE_KEY", f"TOPUP_{provider}_PUBLIC_KEY")
    environ = {**environments.worker(), **dict(zip(names, (private, public), strict=True))}
    fault = only_fault(environ, WorkerSettings)
    assert fault.startswith(f"{names[1]} is the public half of our own private key")


def test_a_key_of_zeros_is_none():
    weak = base64.b64encode(bytes(32)).decode()
    for name in ("TOPUP_PII_KEY", "TOPUP_PII_OLD_KEYS", "TOPUP_RECORD_KEY"):
        assert "32 zero bytes" in only_fault({**environments.bridge(), name: weak}, BridgeSettings)


def test_an_api_v3_key_of_zeros_is_none():
    environ = {**environments.wechat(), "TOPUP_WECHAT_API_V3_KEY": "0" * 32}
    assert "32 zeros" in only_fault(environ, DoctorSettings)


def test_a_pem_may_come_on_one_line_with_line_breaks_written_out():
    private, _ = environments.key_pair()
    environ = {**environments.worker(), "TOPUP_ALIPAY_PRIVATE_KEY": private.replace("\n", "\\n")}
    assert getattr(load(environ, WorkerSettings).payments["alipay"], "private_key", "") == private


def test_no_secret_is_in_the_repr():
    shown = repr(load({**environments.worker(), **environments.bridge()}, WorkerSettings))
    for secret in SECRETS:
        assert secret not in shown


@pytest.mark.parametrize("name", sorted(names_read_by(WorkerSettings) & environments.worker().keys()))
def test_each_variable_may_come_from_a_file(tmp_path, name):
    environ = environments.worker()
    expected = load(environ, WorkerSettings)
    file = tmp_path / "value"
    file.write_text(environ.pop(name) + "\n")
    assert load({**environ, f"{name}_FILE": str(file)}, WorkerSettings) == expected


def test_a_file_that_cannot_be_read_is_a_fault_that_names_it(tmp_path):
    environ = environments.worker()
    del environ["TOPUP_CARRIER_TOKEN"]
    missing = {**environ, "TOPUP_CARRIER_TOKEN_FILE": str(tmp_path / "none")}
    assert only_fault(missing, WorkerSettings).startswith("TOPUP_CARRIER_TOKEN_FILE names ")
    (tmp_path / "empty").write_text("\n")
    assert "is empty" in only_fault({**environ, "TOPUP_CARRIER_TOKEN_FILE": str(tmp_path / "empty")}, WorkerSettings)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    assert "no UTF-8" in only_fault({**environ, "TOPUP_CARRIER_TOKEN_FILE": str(tmp_path / "bytes")}, WorkerSettings)
    assert "can't be read" in only_fault({**environ, "TOPUP_CARRIER_TOKEN_FILE": str(tmp_path)}, WorkerSettings)


def test_a_variable_and_its_file_at_once_is_a_fault():
    fault = only_fault({**environments.worker(), "TOPUP_CARRIER_TOKEN_FILE": "/nowhere"}, WorkerSettings)
    assert "TOPUP_CARRIER_TOKEN_FILE" in fault


def test_a_process_opens_no_file_of_a_secret_that_it_does_not_use():
    assert load({**environments.bridge(), "TOPUP_CARRIER_TOKEN_FILE": "/nowhere"}, BridgeSettings)


def test_a_scale_below_one_is_a_warning():
    (warning,) = load({**environments.worker(), "TOPUP_TIME_SCALE": "0.05"}, WorkerSettings).warnings
    assert "TOPUP_TIME_SCALE" in warning


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("TOPUP_WECHAT_URL", ""),
        ("TOPUP_ALIPAY_URL", ""),
        ("TOPUP_WECHAT_URL", "https://api2.mch.weixin.qq.com"),
        ("TOPUP_WECHAT_URL", "https://API.MCH.WEIXIN.QQ.COM./"),
        ("TOPUP_ALIPAY_URL", "https://alipay.com:8080/gateway.do"),
    ],
)
@pytest.mark.parametrize("process", [WorkerSettings, BridgeSettings])
def test_scaled_time_is_refused_with_a_real_provider(name, url, process):
    environ = {**environments.bridge(), **environments.worker(), "TOPUP_TIME_SCALE": "0.5", name: url}
    fault = only_fault(environ, process)
    assert fault.startswith("TOPUP_TIME_SCALE")
    assert name in fault


def test_scaled_time_goes_with_a_provider_that_is_not_configured_and_with_look_alikes():
    environ = {k: v for k, v in environments.worker().items() if "ALIPAY" not in k}
    environ |= {"TOPUP_TIME_SCALE": "0.5", "TOPUP_WECHAT_URL": "https://notweixin.qq.com.example"}
    assert load(environ, WorkerSettings).time_scale == 0.5


def test_a_misspelt_variable_is_a_warning_with_the_closest_name():
    environ = {**environments.bridge(), "TOPUP_KAFKA_TOPICS": "x", "TOPUP_PII_KEYS_FILE": "y", "TOPUP_XYZZY": "z"}
    warnings = load(environ, BridgeSettings).warnings
    assert len(warnings) == 3
    assert "did you mean TOPUP_KAFKA_TOPIC?" in warnings[0]
    assert "did you mean TOPUP_PII_KEY?" in warnings[1]
    assert "README" in warnings[2]


def test_topic_and_dead_letter_topic_differ():
    environ = {**environments.bridge(), "TOPUP_KAFKA_DLQ_TOPIC": "topup.paid-orders"}
    assert only_fault(environ, BridgeSettings).startswith("TOPUP_KAFKA_DLQ_TOPIC")


def test_sasl_needs_mechanism_user_and_password_and_a_certificate_its_key():
    environ = {**environments.bridge(), "TOPUP_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}
    assert len(faults(environ, BridgeSettings)) == 3
    environ = {**environments.bridge(), "TOPUP_KAFKA_SSL_CERTFILE": "c.pem"}
    assert only_fault(environ, BridgeSettings).startswith("TOPUP_KAFKA_SSL_KEYFILE")


def test_the_completion_date_leaves_room_for_the_slowest_answer():
    environ = {**environments.worker(), "TOPUP_CARRIER_COMPLETION_SECONDS": "75"}
    assert only_fault(environ, WorkerSettings).startswith("TOPUP_CARRIER_COMPLETION_SECONDS")
    assert (
        load({**environ, "TOPUP_CARRIER_COMPLETION_SECONDS": "75.5"}, WorkerSettings).carrier_completion_seconds == 75.5
    )


CARRIER_TIMES = ("LONGEST_LATENCY", "VISIBILITY_LAG", "COMPLETION")


@pytest.mark.slow
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
        loaded = load(environ, WorkerSettings)
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
    times = carrier_times(load({**environments.worker(), **changed}, WorkerSettings))

    assert times.visibility_lag >= times.longest_latency


def test_a_scale_that_leaves_no_time_for_a_post_is_a_fault_of_the_process_that_sends_it():
    environ = {**environments.bridge(), **environments.worker(), "TOPUP_TIME_SCALE": "0.001"}

    assert only_fault(environ, WorkerSettings).startswith("TOPUP_TIME_SCALE")
    assert load(environ, BridgeSettings).time_scale == 0.001


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


def test_temporal_is_read_as_its_command_reads_it(tmp_path: Path):
    file = tmp_path / "temporal.toml"
    file.write_text('[profile.staging]\naddress = "temporal.example:7233"\nnamespace = "cars"\napi_key = "k3y"\n')
    environ = {**environments.bridge(), "TEMPORAL_CONFIG_FILE": str(file), "TEMPORAL_PROFILE": "staging"}
    temporal = load(environ, BridgeSettings).temporal
    assert (temporal.address, temporal.namespace) == ("temporal.example:7233", "cars")
    assert temporal.connect_config().get("api_key") == "k3y"
    assert "k3y" not in repr(temporal)
    assert load({**environ, "TEMPORAL_ADDRESS": "other:1"}, BridgeSettings).temporal.address == "other:1"


@pytest.mark.parametrize("environ", [{"TEMPORAL_ADDRESS": "temporal"}, {"TEMPORAL_PROFILE": "none"}, {}])
def test_a_wrong_temporal_setting_is_one_fault(tmp_path, environ):
    if not environ:
        (tmp_path / "temporal.toml").write_text("not toml")
        environ = {"TEMPORAL_CONFIG_FILE": str(tmp_path / "temporal.toml")}
    fault = only_fault({**environments.bridge(), **environ}, BridgeSettings)
    assert "TEMPORAL_ADDRESS" in fault
    assert "for example TEMPORAL_ADDRESS=127.0.0.1:7233" in fault


@pytest.mark.parametrize(
    "line", ['api_key = S3CRET"', 'api_key = "S3CRET', 'api_key = {x = "S3CRET"}', 'tls = "S3CRET"', "S3CRET"]
)
def test_a_malformed_temporal_toml_shows_nothing_of_itself(tmp_path, line):
    path = tmp_path / "temporal.toml"
    path.write_text(f"[profile.default]\n{line}\n")
    fault = only_fault({**environments.bridge(), "TEMPORAL_CONFIG_FILE": str(path)}, BridgeSettings)
    assert "line 2" in fault
    assert "S3CRET" not in fault


def test_old_keys_come_in_any_number_each_once_and_from_a_file_too(tmp_path: Path):
    first, second = (base64.b64encode(bytes(range(number, number + 32))).decode() for number in (1, 2))
    assert load(environments.bridge(), BridgeSettings).pii_old_keys == ()

    settings = load(environments.bridge() | {"TOPUP_PII_OLD_KEYS": f"{first}, {second},{first}"}, BridgeSettings)
    assert settings.pii_old_keys == (bytes(range(1, 33)), bytes(range(2, 34)))
    assert settings.pii_keys == (settings.pii_key, *settings.pii_old_keys)

    path = tmp_path / "old_keys"
    path.write_text(f"{first}\n")
    settings = load(environments.bridge() | {"TOPUP_PII_OLD_KEYS_FILE": str(path)}, BridgeSettings)
    assert settings.pii_old_keys == (bytes(range(1, 33)),)
    assert first not in repr(settings)


@pytest.mark.parametrize("text", ["x", "QUJD", ",", f"{environments.PII_KEY};{environments.PII_KEY}"])
def test_an_old_key_that_is_none_is_a_fault_and_never_shown(text: str):
    sentence = only_fault(environments.bridge() | {"TOPUP_PII_OLD_KEYS": text}, BridgeSettings)

    assert sentence.startswith("TOPUP_PII_OLD_KEYS must be exactly 32 bytes in base64")
    assert environments.PII_KEY not in sentence


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2026-11-23T10:00:00Z", 0), ("2026-11-23T18:00:00+08:00", 0), ("2026-11-23T10:00:00.5Z", 0.5)],
)
def test_the_restore_is_an_instant_and_is_warned_about(text: str, seconds: float):
    settings = load(environments.worker() | {"TOPUP_RESTORED_AT": text}, WorkerSettings)

    assert settings.restored_at == datetime(2026, 11, 23, 10, tzinfo=UTC) + timedelta(seconds=seconds)
    assert any("TOPUP_RESTORED_AT" in warning and "asks" in warning for warning in settings.warnings)
    assert load(environments.worker(), WorkerSettings).restored_at is None


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-11-23", "2026-11-23T10:00:00", "2026-02-30T10:00:00Z", "2026-11-23T25:00:00Z", "1"]
)
def test_a_restore_without_a_time_zone_or_that_never_was_is_a_fault(text: str):
    assert only_fault(environments.worker() | {"TOPUP_RESTORED_AT": text}, WorkerSettings).startswith(
        "TOPUP_RESTORED_AT"
    )


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


@pytest.mark.parametrize("address", ["h:99999", "h:0", "h:", ":7233", "h:1:x"])
def test_an_address_of_temporal_that_cannot_be_is_refused(address: str):
    assert "must be host:port" in only_fault({**environments.bridge(), "TEMPORAL_ADDRESS": address}, BridgeSettings)


def test_a_time_scale_in_other_digits_is_refused():
    assert "TOPUP_TIME_SCALE" in only_fault({**environments.bridge(), "TOPUP_TIME_SCALE": "\u0661"}, BridgeSettings)


def test_files_that_tls_needs_are_read_at_start_by_the_process_that_needs_them(tmp_path: Path):
    nothing, text = str(tmp_path / "nothing.pem"), tmp_path / "text.pem"
    text.write_text("no certificate")
    kafka = {"TOPUP_KAFKA_SSL_CAFILE": nothing}
    broker = {"name": "cars", "url": "mqtts://broker:8883", "cafile": nothing}
    mqtt = {"TOPUP_MQTT_BROKERS": json.dumps([broker])}

    fault = only_fault({**environments.bridge(), **kafka}, BridgeSettings)
    assert fault.startswith("TOPUP_KAFKA_SSL_CAFILE (now ")
    assert "names a file that can't be read (No such file or directory)" in fault
    fault = only_fault({**environments.bridge(), "TOPUP_KAFKA_SSL_CAFILE": str(text)}, BridgeSettings)
    assert "holds no certificate in PEM" in fault
    pair = {"TOPUP_KAFKA_SSL_CERTFILE": str(text), "TOPUP_KAFKA_SSL_KEYFILE": str(text)}
    assert only_fault({**environments.bridge(), **pair}, BridgeSettings).startswith("TOPUP_KAFKA_SSL_CERTFILE")
    fault = only_fault({**environments.worker(), **mqtt}, WorkerSettings)
    assert fault.startswith("TOPUP_MQTT_BROKERS names a file as `cafile` of cars that can't be read")
    assert load({**environments.worker(), **kafka}, WorkerSettings)
    assert load({**environments.bridge(), **mqtt}, BridgeSettings)
