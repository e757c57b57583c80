"""Exit codes mean something, and what is wrong is said in sentences, never in a traceback."""

import base64
import json
import os
import socket
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from console import main
from console.exits import CommandFailed, Exit
from console.options import word
from console.payments import _vehicle
from tests.limits import WAIT_SECONDS

ROOT = Path(__file__).parents[2]

COMMANDS = (
    (), ("worker",), ("bridge",), ("serve",), ("setup",), ("doctor",), ("dev",), ("demo",),
    ("orders",), ("orders", "list"), ("orders", "show"), ("orders", "retry"), ("orders", "resolve"),
    ("orders", "refund"), ("orders", "cancel"), ("orders", "renotify"), ("orders", "reopen"),
    ("orders", "of-vehicle"), ("orders", "find"), ("keys",), ("keys", "status"), ("keys", "rotate"),
    ("dlq",), ("dlq", "list"), ("dlq", "show"), ("dlq", "redrive"), ("dlq", "settle"), ("dlq", "discard"),
    ("payments",), ("payments", "list"), ("payments", "show"), ("payments", "adopt"), ("payments", "refund"),
    ("payments", "settle"), ("orders", "retire-platform"), ("hold",), ("hold", "carrier"), ("hold", "wechat"),
    ("hold", "alipay"), ("hold", "show"), ("hold", "release"), ("orders", "goodwill"),
)  # fmt: skip
ORDER = "T20230821183406000001"


def topup(
    *arguments: str, environment: Mapping[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    foreign = ("TOPUP_", "TEMPORAL_")
    base = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return subprocess.run(
        [sys.executable, "-m", "console", *arguments],
        input=stdin,
        env=base | {"TEMPORAL_CONFIG_FILE": os.devnull} | dict(environment or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_SECONDS,
    )


@pytest.fixture
def nowhere() -> str:
    """An address at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def said(done: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr


def test_the_version_is_that_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    done = topup("--version")

    assert (done.returncode, done.stdout) == (0, f"topup {project['version']}\n"), done.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_an_example(command, capsys):
    assert main.run([*command, "--help"]) == 0
    assert "Example: " in capsys.readouterr().out


def test_help_comes_without_the_heavy_modules():
    code = """
import contextlib, io, sys
from console.main import run
with contextlib.redirect_stdout(io.StringIO()):
    assert run(["--help"]) == 0
print([name for name in ("temporalio", "sqlalchemy", "kafka", "pydantic", "httpx") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=WAIT_SECONDS
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-command",),
        ("orders", "show", "nope"),
        ("orders", "resolve", ORDER),
        ("orders", "resolve", ORDER, "--outcome", "nonsense"),
        ("orders", "list", "--limit", "0"),
        ("orders", "list", "--all", "--stranded"),
        ("orders", "retry"),
        ("orders", "goodwill", ORDER, "--reason", "x"),
        ("orders", "goodwill", ORDER, "--amount-fen", "500", "--give-up", "1", "--reason", "x"),
        ("orders", "retry", ORDER, "--query", "x"),
        ("orders", "retry", ORDER, "--operator", " ", "--note", " "),
        ("orders", "resolve", ORDER, "--outcome", "refunded"),
        ("orders", "refund", ORDER),
        ("orders", "reopen", ORDER, "--stranded"),
        ("dlq", "redrive"),
        ("dlq", "redrive", "--reason", "conflicts"),
        ("dlq", "list", "--reason", "nonsense"),
        ("dlq", "settle", "0:1"),
        ("orders", "find"),
        ("orders", "find", "4200", "--by", "phone"),
        ("payments", "refund", "wechat:4200"),
        ("payments", "settle", "4200", "--note", "x"),
        ("demo", "--time-scale", "2"),
        ("demo", "--kafka", "nonsense"),
        ("dev", "--mqtt", "http://127.0.0.1:1883"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(arguments, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TOPUP_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    folder = ("--folder", str(tmp_path / "dev")) if arguments[0] == "dev" else ()
    assert main.run([*arguments, *folder]) == 2
    assert capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ("worker",),
        ("bridge",),
        ("serve",),
        ("setup",),
        ("orders", "reopen", ORDER),
        ("dlq", "list"),
        ("payments", "list"),
    ],
)
def test_missing_settings_end_with_2_and_name_the_variable_and_an_example(command):
    done = topup(*command)
    assert done.returncode == 2
    assert "TOPUP_" in said(done)
    assert "for example" in done.stderr


def test_a_wrong_value_is_named(nowhere):
    environment = {"TOPUP_DATABASE_URL": "mysql://x", "TOPUP_KAFKA_BOOTSTRAP_SERVERS": nowhere}
    done = topup("setup", environment=environment)
    assert done.returncode == 2
    assert "TOPUP_DATABASE_URL" in said(done)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [("list",), ("retry", ORDER), ("cancel", ORDER), ("refund", ORDER, "--note", "x"), ("show", ORDER)],
    ids=" ".join,
)
def test_a_temporal_that_is_away_is_one_sentence_and_1(command, nowhere):
    done = topup("orders", *command, environment={"TEMPORAL_ADDRESS": nowhere})
    assert done.returncode == 1
    assert f"Temporal does not answer at {nowhere}" in said(done) + done.stdout


@pytest.mark.slow
def test_a_kafka_that_is_away_is_one_sentence_and_1(nowhere):
    environment = {"TOPUP_KAFKA_BOOTSTRAP_SERVERS": nowhere, "TOPUP_DATABASE_URL": "sqlite:///none.db"}
    done = topup("dlq", "list", environment=environment)
    assert done.returncode == 1
    assert nowhere in said(done)
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_setup_names_each_part_that_is_away_and_does_what_can_be_done(nowhere, tmp_path):
    environment = {
        "TEMPORAL_ADDRESS": nowhere,
        "TOPUP_KAFKA_BOOTSTRAP_SERVERS": nowhere,
        "TOPUP_DATABASE_URL": f"sqlite:///{tmp_path / 'topup.db'}",
    }
    done = topup("setup", "--wait", "0", "--json", environment=environment)
    assert done.returncode == 1
    assert said(done) == ""
    steps = {step["part"]: step for step in json.loads(done.stdout)["steps"]}
    assert {part: step["ok"] for part, step in steps.items()} == {"database": True, "temporal": False, "kafka": False}
    assert "TEMPORAL_ADDRESS" in steps["temporal"]["says"]
    assert "TOPUP_KAFKA_BOOTSTRAP_SERVERS" in steps["kafka"]["says"]
    assert (tmp_path / "topup.db").exists()


def test_doctor_says_what_is_not_configured():
    done = topup("doctor", "--json", environment={"TEMPORAL_ADDRESS": "127.0.0.1:1"})
    assert done.returncode == 1
    said(done)
    steps = {step["part"]: step for step in json.loads(done.stdout)["steps"]}
    assert not any(step["ok"] for step in steps.values())
    for part, variable in {
        "database": "TOPUP_DATABASE_URL",
        "kafka": "TOPUP_KAFKA_BOOTSTRAP_SERVERS",
        "carrier": "TOPUP_CARRIER_URL",
        "mqtt": "TOPUP_MQTT_BROKERS",
    }.items():
        assert variable in steps[part]["says"]


def test_reopening_an_order_without_a_schema_is_a_sentence(nowhere, tmp_path):
    environment = {
        "TEMPORAL_ADDRESS": nowhere,
        "TOPUP_DATABASE_URL": f"sqlite:///{tmp_path / 'topup.db'}",
        "TOPUP_PII_KEY": base64.b64encode(bytes(range(32))).decode(),
    }
    done = topup("orders", "reopen", ORDER, environment=environment)
    assert done.returncode == 1
    assert "Temporal does not answer" in said(done)


def test_an_error_that_nobody_expected_is_a_sentence_and_its_traceback_only_asked_for(monkeypatch, capsys):
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("console.preparation.prepare", broken)
    monkeypatch.setattr("console.settings.settings_for", lambda _process: None)
    assert main.run(["setup"]) == 1
    assert "unexpected ZeroDivisionError: by zero" in capsys.readouterr().err
    assert main.run(["--traceback", "setup"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("operator", "note", "says"),
    [
        ("li" * 60, "4711", "operator has 120 characters; at most 100 are kept"),
        ("li", "x" * 2001, "note has 2001 characters; at most 2000 are kept"),
        ("li", "4711\x1b]52;c;eA==\x07", "note holds a control character"),
        ("li\udcff", "4711", "operator holds a control character"),
    ],
)
def test_what_no_trail_keeps_is_refused_before_anything_is_done(operator: str, note: str, says: str):
    """Of orders the saga refused it; payments, dead letters, holds and differences kept a note of any length."""
    with pytest.raises(CommandFailed, match=says) as refused:
        word(operator, note)
    assert refused.value.code == Exit.WRONG_USAGE
    assert str(refused.value).isprintable()
    assert word("li", "第一行\n4711\tsaid\n") == {"operator": "li", "note": "第一行\n4711\tsaid"}


@pytest.mark.parametrize(
    "car",
    [
        b"",
        b"[]",
        b"{}",
        b'"LSGBC5342AG000001"',
        b'{"vin": 1}',
        b'{"vin": "LSGBC5342AG000001", "vin": "LSGBC5342AG000002"}',
        b"[" * 100_000,
        b'{"vin": "' + b"x" * 5000 + b'"}',
        b"\xff\xfe",
        '{"vin": "LSGBC5342AG000001"}'.encode("utf-16"),
    ],
    ids=range(10),
)
def test_a_car_that_is_none_is_refused_by_a_sentence_that_repeats_nothing_of_it(car: bytes):
    """Deep nesting and what isn't UTF-8 were unexpected errors; of a VIN that stood twice, the last one counted."""
    with pytest.raises(CommandFailed) as refused:
        _vehicle(car)
    assert refused.value.code == Exit.WRONG_USAGE
    assert "LSGBC5342AG" not in str(refused.value)
    good = {"vin": "LSGBC5342AG000001", "iccid": "89860321247550000015"}
    assert _vehicle(json.dumps(good).encode()) == good
