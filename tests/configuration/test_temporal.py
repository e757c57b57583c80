"""How Temporal is reached, as its own command reads it."""

from pathlib import Path

import pytest

from configuration.processes import BridgeSettings
from runtime.settings import load
from tests.configuration.faults import only_fault
from tests.runtime import environments


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


@pytest.mark.parametrize("address", ["h:99999", "h:0", "h:", ":7233", "h:1:x"])
def test_an_address_of_temporal_that_cannot_be_is_refused(address: str):
    assert "must be host:port" in only_fault({**environments.bridge(), "TEMPORAL_ADDRESS": address}, BridgeSettings)
