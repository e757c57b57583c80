import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from configuration.processes import PROCESSES as MODELS
from configuration.processes import WorkerSettings
from console.main import app
from runtime.process import GRACE_SECONDS
from runtime.settings import load, read_by, variables_of
from simulators.arguments import parser as simulators_parser
from tests.deploy.files import COMPOSE_FILE, PROCESSES, ROOT, compose, example_environment, interpolated, references
from tests.limits import WAIT_SECONDS

SERVICES = compose()["services"]
MODEL = {model.process: model for model in MODELS}
READS = {
    model.process: {variable.name for group in read_by(model) for variable in variables_of(group)} for model in MODELS
}
TEMPORAL = {"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE", "TEMPORAL_API_KEY", "TEMPORAL_PROFILE"} | {
    f"TEMPORAL_TLS_{name}" for name in ("CLIENT_CERT_PATH", "CLIENT_KEY_PATH", "SERVER_CA_CERT_PATH", "SERVER_NAME")
}
ON_DEMAND = ["operator", "simulators"]
"""Services that run when they are asked for alone."""


def environment(service: str, secrets: Path) -> dict[str, str]:
    """The environment of a service, as its container has it, with secrets where they are here."""
    filled = {k: interpolated(str(v), example_environment()) for k, v in SERVICES[service]["environment"].items()}
    here = {name: value.replace("/run/secrets", str(secrets)) for name, value in filled.items()}
    if brokers := here.pop("TOPUP_MQTT_BROKERS_FILE", ""):  # it names a file itself
        here["TOPUP_MQTT_BROKERS"] = Path(brokers).read_text().replace("/run/secrets", str(secrets))
    return here


def test_it_is_a_valid_compose_file():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE_FILE)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=WAIT_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_every_image_is_pinned_by_version(service):
    image, _, tag = SERVICES[service]["image"].partition("@")[0].rpartition(":")
    assert image
    assert re.match(r"\d+\.\d+", tag), SERVICES[service]["image"]


@pytest.mark.parametrize("service", PROCESSES)
def test_every_variable_of_a_process_is_a_setting_that_it_uses(service):
    for name in SERVICES[service]["environment"]:
        if name in TEMPORAL:
            continue
        assert name.removesuffix("_FILE") in READS[service], name


@pytest.mark.parametrize("service", PROCESSES)
def test_a_process_starts_with_the_example_settings_and_the_made_secrets(service, made_secrets):
    settings = load(environment(service, made_secrets), MODEL[service])
    # The stack has no gateway yet, so nobody signs its records.
    unsigned = ["TOPUP_RECORD_KEY"] if service == "bridge" else []
    in_clear = [] if service == "codec-server" else ["TOPUP_ALLOW_CLEARTEXT"]
    assert [sentence.split()[0] for sentence in settings.warnings] == [*in_clear, *unsigned]
    if service != "codec-server":
        connect = settings.temporal.connect_config()
        assert connect["target_host"] == "temporal:7233"
        assert connect["tls"].client_cert == (made_secrets / f"{service}_certificate").read_bytes()


def test_the_worker_is_given_all_it_needs(made_secrets):
    settings = load(environment("worker", made_secrets), WorkerSettings)
    assert settings.payments.keys() == {"wechat", "alipay"}
    assert settings.database_url.endswith("@postgres/topup")
    assert [broker.name for broker in settings.mqtt_brokers] == ["cars"]
    (carrier, wechat, alipay) = (settings.carrier.url, *(settings.payments[name].url for name in ("wechat", "alipay")))
    assert (carrier, wechat) == ("http://simulators:9001", "http://simulators:9002")
    assert alipay == "http://simulators:9003/gateway.do"


@pytest.mark.slow
@pytest.mark.parametrize("service", SERVICES)
def test_a_secret_that_is_used_is_granted_and_made(service, made_secrets):
    definition = SERVICES[service]
    granted = set(definition.get("secrets", []))
    text = str(definition.get("environment", "")) + str(definition.get("command", ""))
    for mount in definition.get("volumes", []):
        path = ROOT / mount.split(":")[0]
        if mount.startswith("./deploy/") and "secrets" not in mount:
            text += "".join(one.read_text() for one in ([path] if path.is_file() else path.iterdir()))
    if service == "worker":
        text += (made_secrets / "topup_mqtt_brokers").read_text()
    used = set(re.findall(r"/run/secrets/(\w+)", text))
    assert used == granted
    for name in granted:
        assert compose()["secrets"][name] == {"file": f"./deploy/secrets/{name}"}
        assert (made_secrets / name).read_text().strip()


def test_no_secret_is_declared_that_nobody_uses():
    granted = {name for service in SERVICES.values() for name in service.get("secrets", [])}
    assert set(compose()["secrets"]) == granted


@pytest.mark.parametrize("service", SERVICES)
def test_ports_are_opened_on_loopback_alone(service):
    for port in SERVICES[service].get("ports", []):
        assert port.startswith("127.0.0.1:"), port


@pytest.mark.parametrize("service", SERVICES)
def test_every_file_that_is_mounted_is_there_and_every_volume_declared(service):
    for mount in SERVICES[service].get("volumes", []):
        source = mount.split(":")[0]
        if source.startswith("./deploy/secrets"):
            continue
        if source.startswith("."):
            assert (ROOT / source).exists(), source
        else:
            assert source in compose()["volumes"]


def test_every_reference_has_a_default_or_stands_in_the_example():
    example = example_environment()
    used = {name for name, _ in references(COMPOSE_FILE.read_text())}
    for name, default in references(COMPOSE_FILE.read_text()):
        assert default is not None or example.get(name), name
    assert set(example) <= used


def test_the_commands_are_commands_of_topup():
    commands = typer.main.get_command(app).commands
    for service in PROCESSES:
        words = SERVICES[service]["command"]
        options = [option for parameter in commands[words[0]].params for option in parameter.opts]
        assert all(word in options for word in words if word.startswith("--"))


def test_the_simulators_understand_their_arguments():
    (line,) = SERVICES["simulators"]["command"]
    words = re.sub(r'"[^"]*\$\$\(cat [^)]*\)"', "a=mqtt://u:p@h:1", line.replace('"$$TOPUP_TIME_SCALE"', "0.5")).split()
    assert words[:4] == ["exec", "python", "-m", "simulators"]
    options = simulators_parser().parse_args(words[4:])
    assert (options.what, options.carrier_port, options.alipay_port) == ("all", 9001, 9003)


def test_simulators_have_an_image_of_their_own_and_the_product_s_holds_none():
    targets = {name: SERVICES[name]["build"]["target"] for name in (*PROCESSES, "simulators")}
    assert targets == dict.fromkeys(PROCESSES, "product") | {"simulators": "simulators"}
    assert {SERVICES[name]["image"] for name in PROCESSES} == {"topup:0.1.0"}
    assert SERVICES["simulators"]["image"] == "topup-simulators:0.1.0"


def test_simulators_run_only_when_asked_for():
    assert [name for name, service in SERVICES.items() if "profiles" in service] == ON_DEMAND
    for service in SERVICES.values():
        assert not set(ON_DEMAND) & service.get("depends_on", {}).keys()


def test_processes_wait_for_setup_and_setup_for_its_parts():
    assert SERVICES["bridge"]["depends_on"] == {"setup": {"condition": "service_completed_successfully"}}
    assert SERVICES["worker"]["depends_on"] == SERVICES["bridge"]["depends_on"]
    for part, how in SERVICES["setup"]["depends_on"].items():
        assert how == {"condition": "service_healthy"}
        assert "healthcheck" in SERVICES[part]


@pytest.mark.parametrize("service", ["worker", "bridge"])
def test_docker_kills_no_process_before_its_own_grace_period_is_over(service):
    assert int(SERVICES[service]["stop_grace_period"].removesuffix("s")) >= GRACE_SECONDS + 20


def test_what_serves_restarts_and_what_runs_once_does_not():
    once = {name for name, service in SERVICES.items() if service["restart"] == "no"}
    assert once == {"temporal-schema", "setup", "operator"}
    assert {service["restart"] for name, service in SERVICES.items() if name not in once} == {"unless-stopped"}


def test_what_serves_is_asked_for_its_health():
    unasked = {n for n, service in SERVICES.items() if service["restart"] != "no" and "healthcheck" not in service}
    assert unasked == {"temporal-ui"}  # its image's tools are unknown here, and nothing depends on it


@pytest.mark.parametrize(("service", "port"), [("worker", "8081"), ("bridge", "8082"), ("codec-server", "8084")])
def test_health_is_asked_on_the_port_that_is_set_and_published(service, port):
    definition = SERVICES[service]
    assert definition["environment"]["TOPUP_HTTP_PORT"] == port
    assert f":{port}/readyz" in definition["healthcheck"]["test"][-1]
    assert all(published.endswith(f":{port}") for published in definition.get("ports", []))


@pytest.mark.parametrize("service", [*PROCESSES, "simulators"])
def test_our_containers_can_change_nothing_but_their_volumes(service):
    assert SERVICES[service]["read_only"] is True
    assert SERVICES[service]["cap_drop"] == ["ALL"]


def test_each_service_is_on_the_networks_that_its_work_needs_and_on_no_other():
    members = {
        name: {service for service in SERVICES if name in SERVICES[service]["networks"]}
        for name in compose()["networks"]
    }
    assert members == {
        "book": {"postgres", "temporal-schema", "temporal", "setup", "bridge", "worker", "operator"},
        "temporal": {"temporal", "temporal-ui", "setup", "bridge", "worker", "operator"},
        "kafka": {"kafka", "setup", "bridge", "operator"},
        "mqtt": {"mosquitto", "worker", "simulators"},
        "signin": {"signin", "temporal-ui", "codec-server"},
        "outside": {"worker", "simulators"},
        "ports": {name for name, service in SERVICES.items() if "ports" in service},
    }
    assert [name for name, how in compose()["networks"].items() if not how.get("internal")] == ["outside", "ports"]
    assert compose()["networks"]["ports"]["driver_opts"] == {"com.docker.network.bridge.enable_icc": "false"}


def test_only_who_must_holds_a_key():
    def holders(secret: str) -> set[str]:
        return {name for name, service in SERVICES.items() if secret in service.get("secrets", [])}

    assert holders("topup_pii_key") == {"bridge", "worker", "operator"}
    assert holders("topup_codec_key") == {"bridge", "worker", "operator", "codec-server"}
    assert holders("topup_database_url") == {"setup"}, "the owner's"
    assert holders("ca_key") == set()
    for name in ("setup", "bridge", "worker", "operator"):
        assert holders(f"{name}_key") == {name}


@pytest.mark.parametrize("service", SERVICES)
def test_every_container_is_bounded_and_leaves_no_memory_image(service):
    definition = SERVICES[service]
    assert definition["mem_limit"]
    assert definition.get("security_opt") == ["no-new-privileges:true"] or definition["restart"] == "no"
    if "security_opt" in definition:
        assert definition["ulimits"]["core"] == 0
        assert definition["pids_limit"]


def test_the_web_ui_is_reached_through_the_sign_in_alone():
    assert "ports" not in SERVICES["temporal-ui"]
    assert "ports" not in SERVICES["codec-server"]
    conf = (ROOT / "deploy/signin/nginx.conf").read_text()
    assert conf.count("proxy_pass http://codec-server") == 2
    assert conf.count("proxy_set_header X-Forwarded-User $remote_user;") == 2
    assert conf.count("auth_basic off;") == 1


def test_passwords_at_the_sign_in_are_not_guessed_as_fast_as_they_are_sent():
    """Seen with nginx 1.22: of 40 wrong ones at once 10 were tried, in 10 s 50; another name went through."""
    conf = (ROOT / "deploy/signin/nginx.conf").read_text()
    door = conf[conf.index("server {") : conf.index("location")]
    for word in ("auth_basic_user_file", "auth_delay 2s;", "limit_conn names 10;", "limit_conn addresses 60;"):
        assert word in door, "for every place behind the door"
    assert "limit_conn_zone $remote_user zone=names:1m;" in conf
    assert "http2" not in door
