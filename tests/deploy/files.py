"""The files of the deployment, read once."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE_FILE = ROOT / "docker-compose.temporal.yml"
PROCESSES = ("setup", "bridge", "worker", "codec-server")
_REFERENCE = re.compile(r"(?<!\$)\$\{(?P<name>\w+)(?:(?P<kind>:-|:\?)(?P<rest>[^}]*))?\}")


def compose() -> dict[str, Any]:
    """The Compose file, anchors and merges resolved, `${…}` as written."""
    return yaml.safe_load(COMPOSE_FILE.read_text())


def example_environment() -> dict[str, str]:
    """`deploy/.env.example`."""
    lines = (ROOT / "deploy/.env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def references(text: str) -> list[tuple[str, str | None]]:
    """Each `${NAME}` in `text` with its default, or None where there is none."""
    return [(m["name"], m["rest"] if m["kind"] == ":-" else None) for m in _REFERENCE.finditer(text)]


def interpolated(text: str, environ: Mapping[str, str]) -> str:
    """`text` as Compose fills it in from `environ`."""

    def value(match: re.Match[str]) -> str:
        return environ.get(match["name"]) or (match["rest"] if match["kind"] == ":-" else "")

    return _REFERENCE.sub(value, text)


def secrets_made_in(folder: Path) -> Path:
    """Run a copy of `deploy/demo_secrets.py` in `folder`; the folder of secrets."""
    folder.mkdir(exist_ok=True)
    script = folder / "demo_secrets.py"
    if not script.exists():
        shutil.copy(ROOT / "deploy/demo_secrets.py", script)
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, str(script)], check=True, env=environ, stdout=subprocess.DEVNULL, timeout=240)
    return folder / "secrets"
