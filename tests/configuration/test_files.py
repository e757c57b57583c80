"""A variable may come from a file, and files that TLS needs are read at start."""

import json
from pathlib import Path

import pytest

from configuration.processes import BridgeSettings, WorkerSettings
from runtime.settings import load
from tests.configuration.faults import names_read_by, only_fault
from tests.runtime import environments


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
    for name in ("CARRIER", "WECHAT", "ALIPAY", "PUSH", "OTLP"):
        fault = only_fault({**environments.worker(), f"TOPUP_{name}_CAFILE": str(text)}, WorkerSettings)
        assert fault.startswith(f"TOPUP_{name}_CAFILE (now ")
        assert "names a file that holds no certificate in PEM" in fault
    assert load({**environments.worker(), **kafka}, WorkerSettings)
    assert load({**environments.bridge(), **mqtt}, BridgeSettings)
