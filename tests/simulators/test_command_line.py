"""Starting simulators: one or all, with a sentence where something is missing."""

import asyncio
import json
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from simulators.book import Book, verify
from tests.limits import WAIT_SECONDS
from tests.simulators.carrier_client import CarrierClient, body_of, new_order_id
from tests.simulators.payment_clients import AlipayClient, WechatClient
from tests.simulators.processes import ROOT, start

NAMES = ("carrier", "wechat", "alipay", "vehicle", "backend", "hung-broker")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "simulators", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)


async def test_all_run_in_one_process_each_with_its_own_port_and_book(tmp_path: Path, keys: Path):
    process = start("all", "--keys", keys, "--book", tmp_path / "books", "--hung-broker", announcements=6)
    assert set(process.ports) == set(NAMES)
    assert len(set(process.ports.values())) == 6
    carrier = CarrierClient(process.url("carrier"))
    wechat, alipay = WechatClient(process.url("wechat"), keys), AlipayClient(process.url("alipay"), keys)
    order_id = new_order_id()
    assert (await carrier.post(body_of(order_id))).json()["state"] == "completed"
    for client in (wechat, alipay):
        await client.register("4200", "T4200000")
    assert (await wechat.refund("R4200", "4200")).json()["status"] == "PROCESSING"
    assert alipay.verified(await alipay.refund("4200", "R4200"))["fund_change"] == "Y"
    for name in NAMES[:5]:
        async with httpx.AsyncClient(base_url=process.url(name)) as http:
            assert (await http.get("/healthz")).json()["status"] == "ok"
    for client in (carrier, wechat, alipay):
        await client.http.aclose()
    assert (await asyncio.to_thread(process.stop))[0] == 0
    assert sorted(path.name for path in (tmp_path / "books").iterdir()) == [
        f"{name}.jsonl" for name in sorted(NAMES[:5])
    ]
    assert {entry.kind for entry in verify(tmp_path / "books/carrier.jsonl")} >= {"post", "accepted", "sold"}


@pytest.mark.slow
def test_every_command_explains_itself_with_an_example():
    for command in (*NAMES, "all", "keys"):
        shown = run(command, "--help")
        assert shown.returncode == 0
        assert f"example: python -m simulators {command}" in shown.stdout


def test_keys_hold_the_products_settings_and_are_kept(tmp_path: Path):
    assert run("keys", "--out", tmp_path / "keys").returncode == 0
    settings_path = tmp_path / "keys/settings.json"
    settings = json.loads(settings_path.read_text())
    assert set(settings) == {
        *(f"TOPUP_WECHAT_{name}" for name in ("MCHID", "APPID", "SERIAL_NO", "PRIVATE_KEY", "API_V3_KEY")),
        *(f"TOPUP_WECHAT_{name}" for name in ("PUBLIC_KEY_ID", "PUBLIC_KEY")),
        *(f"TOPUP_ALIPAY_{name}" for name in ("APP_ID", "SELLER_ID", "PRIVATE_KEY", "PUBLIC_KEY")),
    }
    assert len(settings["TOPUP_WECHAT_API_V3_KEY"]) == 32
    assert settings["TOPUP_WECHAT_PUBLIC_KEY_ID"].startswith("PUB_KEY_ID_")
    for path in (settings_path, *(tmp_path / "keys").glob("*-private.pem")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert run("keys", "--out", tmp_path / "keys").returncode == 0
    assert json.loads(settings_path.read_text()) == settings


async def test_single_keys_do_as_well_as_a_folder(keys: Path):
    settings = json.loads((keys / "settings.json").read_text())
    process = start(
        "wechat",
        *("--merchant-public-key", keys / "wechat-merchant-public.pem"),
        *("--platform-private-key", keys / "wechat-platform-private.pem"),
        *("--mchid", settings["TOPUP_WECHAT_MCHID"], "--serial-no", settings["TOPUP_WECHAT_SERIAL_NO"]),
        *("--public-key-id", settings["TOPUP_WECHAT_PUBLIC_KEY_ID"], "--accept-unknown-payments"),
    )
    wechat = WechatClient(process.url("wechat"), keys)
    answer = await wechat.refund("R1", "T1")
    assert (answer.status_code, wechat.is_signed(answer)) == (200, True)
    await wechat.http.aclose()
    assert (await asyncio.to_thread(process.stop))[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("all",), "python -m simulators keys"),
        (("wechat", "--keys", "nowhere"), "python -m simulators keys"),
        (("carrier", "--port", "65536"), "0 to 65535"),
        (("carrier", "--time-scale", "2"), "at most 1"),
        (("carrier", "--book", "pyproject.toml/book"), "choose another --book"),
        (("vehicle", "--broker", "127.0.0.1:1883"), "name=mqtt://host:port"),
        (("vehicle", "--broker", "new=mqtt://127.0.0.1:x"), "name=mqtt://host:port"),
        ((), "COMMAND"),
    ],
)
def test_wrong_use_is_exit_2_with_a_sentence_and_no_traceback(arguments: tuple[str, ...], sentence: str):
    shown = run(*arguments)
    assert shown.returncode == 2
    assert sentence in shown.stderr
    assert "Traceback" not in shown.stderr


async def test_a_taken_port_a_held_book_and_an_altered_one_are_exit_2_with_a_sentence(book_path: Path):
    process = start("carrier", "--book", book_path)
    assert "choose another --port" in run("carrier", "--port", str(process.ports["carrier"])).stderr
    assert "held by another simulator" in run("carrier", "--book", book_path).stderr
    assert process.stop()[0] == 0
    book = Book(book_path)
    book.append("noted")
    await book.close()
    await asyncio.to_thread(book_path.write_text, book_path.read_text().replace("noted", "notes"))  # noqa: ASYNC240 - nothing else runs
    shown = run("carrier", "--book", book_path)
    assert (shown.returncode, "was altered" in shown.stderr) == (2, True)
