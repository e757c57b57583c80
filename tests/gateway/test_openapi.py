"""docs/openapi.yaml says of the gateway what its code does."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import yaml
from jsonschema import Draft202012Validator

from gateway.callbacks import AGAIN, NOT_FOUND, PATHS, STORED
from gateway.server import Response
from tests.gateway.providers import alipay, alipay_form, event, payment, trade, wechat

API: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "docs" / "openapi.yaml").read_text())
READ_OF_ALIPAY = {  # contracts §7
    *("app_id", "seller_id", "notify_type", "notify_time", "out_trade_no", "trade_no", "total_amount", "gmt_payment"),
    *("trade_status", "passback_params", "gmt_refund", "refund_fee", "out_biz_no", "charset", "sign", "sign_type"),
}


def _post(path: str) -> dict[str, Any]:
    return API["paths"][path]["post"]


def _said(path: str, answer: Response) -> tuple[str, Any]:
    """Content type and body that the document names for the answer's status."""
    content: dict[str, Any] = _post(path)["responses"][str(int(answer.status))].get("content", {})
    for media, said in content.items():
        return media, said["schema"]["const"]
    return "", None


def _valid(schema: str, value: object) -> bool:
    return Draft202012Validator(API["components"]["schemas"][schema]).is_valid(value)


def test_its_paths_are_the_only_ones():
    assert set(API["paths"]) == set(PATHS)
    assert all(set(operations) == {"post"} for operations in API["paths"].values())
    assert NOT_FOUND.body == b""


@pytest.mark.parametrize(("path", "provider"), PATHS.items())
def test_both_answers_are_told_as_they_are(path: str, provider: Any):
    for answer in (STORED[provider], AGAIN[provider]):
        media, body = _said(path, answer)
        told = json.loads(answer.body) if media == "application/json" else answer.body.decode() or None
        assert body == told
        assert media == (answer.content_type.partition(";")[0] if answer.body else "")


def test_the_headers_and_names_that_are_read_are_told():
    headers, _ = wechat(event(payment()))
    told = {one["name"] for one in _post("/callbacks/wechat")["parameters"] if one["required"]}
    assert told == {name for name in headers if name.startswith("Wechatpay-")} - {"Wechatpay-Signature-Type"}
    assert set(API["components"]["schemas"]["AlipayNotice"]["properties"]) >= READ_OF_ALIPAY


def test_genuine_callbacks_fit_the_schemas_and_others_do_not():
    _, body = wechat(event(payment()))
    notification = json.loads(body)
    assert _valid("WechatNotification", notification)
    assert not _valid("WechatNotification", {**notification, "resource": {}})
    _, form = alipay(alipay_form(trade()))
    notice = dict(parse_qsl(form.decode(), keep_blank_values=True))
    assert _valid("AlipayNotice", notice)
    assert not _valid("AlipayNotice", {**notice, "sign_type": "RSA"})
