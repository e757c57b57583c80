"""The Kubernetes manifests: each process gets what it reads and nothing else, starts, stops and is asked rightly."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer.main
import yaml

from adapters.payments.bills import MAX_PACKED_BYTES
from configuration.processes import PROCESSES as MODELS
from console.main import app
from devkit.servers.process import Program, free_port
from runtime.metrics import METRICS
from runtime.process import GRACE_SECONDS
from runtime.settings import load, read_by, variables_of
from tests.deploy.files import ROOT
from workflows.policies import PLACE_ORDER

FOLDER = ROOT / "deploy/kubernetes"
MOUNTED = "/run/secrets/topup"
MODEL = {model.process: model for model in MODELS}
SERVING = ("worker", "bridge", "gateway", "codec-server")
TEMPORAL = {"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE"} | {
    f"TEMPORAL_TLS_{name}" for name in ("CLIENT_CERT_PATH", "CLIENT_KEY_PATH", "SERVER_CA_CERT_PATH")
}


def documents(folder: Path) -> Iterator[dict[str, Any]]:
    """The resources of a kustomization, as written."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    for name in kustomization["resources"]:
        path = folder / name
        if path.is_dir():
            yield from documents(path)
        else:
            yield from yaml.safe_load_all(path.read_text())


EXAMPLE = FOLDER / "overlays/example"
DOCUMENTS = [one for one in documents(EXAMPLE) if one is not None]
WORKLOADS: dict[str, dict[str, Any]] = {
    one["metadata"]["name"].removeprefix("topup-"): one["spec"]["template"]["spec"]
    for one in DOCUMENTS
    if one["kind"] in ("Deployment", "Job")
}


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one["spec"] for one in DOCUMENTS if one["kind"] == kind}


def literals(folder: Path, name: str) -> dict[str, str]:
    """What an overlay, and those in it, set for a ConfigMap."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    found: dict[str, str] = {}
    for one in kustomization.get("configMapGenerator", ()):
        if one["name"] == name:
            found |= dict(line.split("=", 1) for line in one["literals"])
    for below in kustomization["resources"]:
        if (folder / below).is_dir() and folder in (folder / below).resolve().parents:
            found |= literals(folder / below, name)
    return found


def environment(process: str) -> dict[str, str]:
    """Its ConfigMap, with what the example overlay adds."""
    file = FOLDER / ("worker" if process == "worker" else "base") / f"{process}.env"
    return dict(line.split("=", 1) for line in file.read_text().splitlines()) | literals(EXAMPLE, f"topup-{process}")


def container(process: str) -> dict[str, Any]:
    (found,) = WORKLOADS[process]["containers"]
    return found


def granted(process: str) -> set[str]:
    """The files of its Secret that it is given."""
    (volume,) = [one for one in WORKLOADS[process]["volumes"] if one["name"] == "secrets"]
    assert all(item["key"] == item["path"] for item in volume["secret"]["items"])
    return {item["key"] for item in volume["secret"]["items"]}


@pytest.mark.parametrize("process", WORKLOADS)
def test_every_variable_is_a_setting_that_the_process_reads(process: str):
    known = {variable.name for group in read_by(MODEL[process]) for variable in variables_of(group)}
    for name in environment(process).keys() - TEMPORAL:
        assert name.removesuffix("_FILE") in known, name


@pytest.mark.parametrize("process", WORKLOADS)
def test_every_file_that_is_named_is_given_and_every_one_that_is_given_is_named(process: str):
    text = "\n".join(environment(process).values())
    assert set(re.findall(rf"{MOUNTED}/(\w+)", text)) == granted(process)


@pytest.mark.parametrize("process", WORKLOADS)
def test_a_process_starts_with_what_it_is_given(process: str, kubernetes_secrets: Path):
    """Warned of nothing, and nothing in clear: the same configuration, natively."""
    here = {name: value.replace(MOUNTED, str(kubernetes_secrets)) for name, value in environment(process).items()}
    settings = load(here, MODEL[process])
    assert settings.warnings == ()
    if process != "codec-server":
        assert settings.temporal.connect_config()["tls"].client_cert


@pytest.mark.slow
@pytest.mark.parametrize("process", SERVING)
async def test_a_pod_answers_its_probes_and_stops_when_it_is_told(process: str, kubernetes_secrets: Path):
    """As the manifests start it, natively; its parts are not there, so only who needs none is ready."""
    port = free_port()
    here = {name: value.replace(MOUNTED, str(kubernetes_secrets)) for name, value in environment(process).items()}
    here |= {"TOPUP_HTTP_PORT": str(port), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    here |= {name: str(free_port()) for name in here if name == "TOPUP_CALLBACK_PORT"}
    command = [sys.executable, "-m", "console", *container(process)["args"]]
    program = Program(f"pod-{process}", command, env=here)
    await asyncio.to_thread(program.start)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
            async with asyncio.timeout(120):
                while True:
                    try:
                        alive = await http.get(container(process)["livenessProbe"]["httpGet"]["path"])
                        break
                    except httpx.TransportError:
                        await asyncio.sleep(0.1)
            assert alive.status_code == 200
            path = container(process)["readinessProbe"]["httpGet"]["path"]
            wanted = 200 if process == "codec-server" else 503
            async with asyncio.timeout(60):
                while (ready := await http.get(path)).status_code != wanted:
                    await asyncio.sleep(0.1)
            assert ready.json()["ready"] is (wanted == 200)
        os.kill(program.pid, signal.SIGTERM)
        assert await asyncio.to_thread(program.wait, 100) == 0
    finally:
        program.close()


@pytest.mark.parametrize("process", SERVING)
def test_probes_ask_paths_and_the_port_that_the_process_serves(process: str):
    given, ports = container(process), {one["name"]: one["containerPort"] for one in container(process)["ports"]}
    assert str(ports["http"]) == environment(process)["TOPUP_HTTP_PORT"]
    assert given["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert given["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    if process == "gateway":
        assert str(ports["callbacks"]) == environment(process)["TOPUP_CALLBACK_PORT"]


def test_the_commands_are_commands_of_topup():
    commands = typer.main.get_command(app).commands
    for process in WORKLOADS:
        words = container(process)["args"]
        options = [option for parameter in commands[words[0]].params for option in parameter.opts]
        assert all(word in options for word in words if word.startswith("--"))


@pytest.mark.parametrize("process", SERVING)
def test_no_process_is_killed_before_its_own_grace_period_is_over(process: str):
    assert WORKLOADS[process]["terminationGracePeriodSeconds"] >= GRACE_SECONDS + 20
    assert PLACE_ORDER.attempt_timeout(1).total_seconds() + 5 < GRACE_SECONDS


@pytest.mark.parametrize("process", WORKLOADS)
def test_a_process_is_nobody_on_its_node_and_changes_nothing(process: str):
    pod, given = WORKLOADS[process], container(process)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert given["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert given["resources"]["limits"]["memory"]


@pytest.mark.parametrize("process", WORKLOADS)
def test_kubernetes_own_variables_are_none_of_our_settings(process: str):
    """A Service topup-gateway would set TOPUP_GATEWAY_PORT, which the product takes for a misspelt setting."""
    assert WORKLOADS[process]["enableServiceLinks"] is False


@pytest.mark.parametrize("process", SERVING)
def test_a_roll_out_takes_away_none_before_the_next_is_ready_and_a_drain_one_at_a_time(process: str):
    deployment, budget = of_kind("Deployment")[f"topup-{process}"], of_kind("PodDisruptionBudget")[f"topup-{process}"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == deployment["selector"]
    assert deployment["selector"]["matchLabels"].items() <= deployment["template"]["metadata"]["labels"].items()


def test_migrations_run_as_the_owner_and_processes_as_a_role_that_only_adds_to_the_trail():
    assert "topup_database_url" in granted("setup")
    for process in ("worker", "bridge"):
        assert "topup_database_url" not in granted(process)
        assert "topup_process_database_url" in granted(process)
    assert container("setup")["args"][container("setup")["args"].index("--process-role") + 1] == "topup_process"


def test_each_policy_is_of_a_workload_and_each_workload_has_one():
    policies = of_kind("NetworkPolicy")
    everybody = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "topup"}}}
    assert policies["topup-deny"] == everybody | {"policyTypes": ["Ingress", "Egress"]}
    assert policies.keys() == {f"topup-{name}" for name in ("deny", "dns", *WORKLOADS)}
    for process in SERVING:
        wanted = {"app.kubernetes.io/name": "topup", "app.kubernetes.io/component": process}
        assert policies[f"topup-{process}"]["podSelector"]["matchLabels"] == wanted


def test_the_largest_bill_that_is_read_has_room_where_it_is_downloaded_to():
    """A pod that has more than its limit is evicted, and the next one that reads the bill too."""
    (tmp,) = [one for one in WORKLOADS["worker"]["volumes"] if one["name"] == "tmp"]
    assert int(tmp["emptyDir"]["sizeLimit"].removesuffix("Mi")) * 1024 * 1024 > MAX_PACKED_BYTES


def test_what_scales_is_there_and_its_metric_too():
    for scaler in of_kind("HorizontalPodAutoscaler").values():
        assert scaler["scaleTargetRef"]["name"] in of_kind("Deployment")
        assert scaler["minReplicas"] >= 2
    (lag, _) = of_kind("HorizontalPodAutoscaler")["topup-bridge"]["metrics"]
    assert lag["pods"]["metric"]["name"] in {metric.name for metric in METRICS}


def test_a_version_of_the_worker_is_known_to_temporal_by_the_name_of_its_folder():
    for folder in EXAMPLE.glob("worker-*"):
        version = folder.name.removeprefix("worker-")
        kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
        assert kustomization["nameSuffix"] == f"-{version}"
        assert kustomization["labels"] == [{"pairs": {"topup-build": version}, "includeSelectors": True}]
        assert literals(folder, "topup-worker")["TOPUP_WORKER_BUILD_ID"] == version


def test_the_commands_that_make_the_secrets_name_each_file():
    text = (ROOT / "deploy/README.md").read_text()
    for process in WORKLOADS:
        (line,) = re.findall(rf"^make_secret topup-{process} (.*)$", text, re.MULTILINE)
        assert set(line.split()) == granted(process)


@pytest.fixture(scope="module")
def kubernetes_secrets(made_secrets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made secrets, addressed to servers that are spoken to in TLS, as a deployment's are."""
    folder = tmp_path_factory.mktemp("kubernetes")
    for path in made_secrets.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    for name in ("topup_database_url", "topup_process_database_url"):
        verified = f"?sslmode=verify-full&sslrootcert={folder / 'ca_certificate'}"
        (folder / name).write_text((made_secrets / name).read_text().strip() + verified)
    brokers = (made_secrets / "topup_mqtt_brokers").read_text().replace("/run/secrets", str(folder))
    (folder / "topup_mqtt_brokers").write_text(brokers)
    return folder
