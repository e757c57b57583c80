"""docs/asyncapi.yaml says of the topics what the code reads and writes."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from jsonschema import Draft202012Validator

from adapters.kafka.assignments import Record
from adapters.kafka.watermark import PartitionAssignment
from bridge.dead_letters import Reason, letter_headers
from orders.arrival import arrival_headers
from orders.record import PoisonRecord, parse
from orders.record_mac import HEADER
from orders.unmatched import UnmatchedReason, parse_unmatched
from runtime.settings.groups import ConsumerGroup, UnmatchedTopic
from tests.orders.test_unmatched import members

API: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "docs" / "asyncapi.yaml").read_text())
SCHEMAS = API["components"]["schemas"]
PAID: dict[str, Any] = {
    "schema": "topup.paid-order/1",
    "order_id": "T20230821183406000001",
    "vehicle": {"vin": "LSGBC5342AG000001", "iccid": "89860321247550000015"},
    "package_id": "CT-DATA-10GB-30D",
    "amount_fen": 9900,
    "currency": "CNY",
    "payment": {
        name: members()[name] for name in ("provider", "merchant_id", "out_trade_no", "transaction_id", "paid_at")
    },
}
WRONG: list[dict[str, Any]] = [
    {"schema": "topup.paid-order/2"},
    {"order_id": "short"},
    {"order_id": "x" * 33},
    {"vehicle": {"vin": "I" * 17, "iccid": "89860321247550000015"}},
    {"vehicle": {"vin": "LSGBC5342AG000001"}},
    {"vehicle": {**PAID["vehicle"], "msisdn": None}},
    {"package_id": ""},
    {"amount_fen": 0},
    {"amount_fen": 100_000_001},
    {"amount_fen": "9900"},
    {"amount_fen": True},
    {"currency": "USD"},
    {"payment": {**PAID["payment"], "provider": "bank"}},
    {"payment": {**PAID["payment"], "transaction_id": "a b"}},
    {"payment": {**PAID["payment"], "paid_at": "2023-08-21 18:33:55"}},
]


def _valid(schema: str, value: object) -> bool:
    return Draft202012Validator(SCHEMAS[schema]).is_valid(value)


def test_the_addresses_are_the_settings_defaults():
    channels = {name: channel["address"] for name, channel in API["channels"].items()}
    assert channels == {
        "paidOrders": UnmatchedTopic.model_fields["kafka_topic"].default,
        "unmatchedPayments": UnmatchedTopic.model_fields["kafka_unmatched_topic"].default,
        "deadLetters": ConsumerGroup.model_fields["kafka_dlq_topic"].default,
    }


def test_the_headers_are_those_that_are_written():
    ours = {HEADER, *(name for name, _ in arrival_headers("x" * 36, datetime.now(UTC)))}
    assert ours == {name for name in SCHEMAS["recordHeaders"]["properties"] if name.startswith("topup-")}
    record = Record(PartitionAssignment("t", 0), 0, 0, None, b"", [])
    letter = letter_headers(record, reason="invalid", error="why", group="g", at=datetime.now(UTC))
    assert {name for name, _ in letter} == set(SCHEMAS["deadLetterHeaders"]["properties"])
    assert _valid("deadLetterHeaders", {name: value.decode() for name, value in letter})
    assert set(SCHEMAS["deadLetterHeaders"]["properties"]["topup-dlq-reason"]["enum"]) == set(get_args(Reason))


@pytest.mark.parametrize("changes", [{}, *WRONG], ids=str)
def test_the_schema_and_the_code_take_and_refuse_the_same_paid_orders(changes: dict[str, Any]):
    value = {**PAID, **changes}
    try:
        parse(None, json.dumps(value).encode())
    except PoisonRecord:
        taken = False
    else:
        taken = True
    assert taken == (not changes) == _valid("paidOrder", value)


def test_the_schema_and_the_code_know_the_same_unmatched_payments():
    schema = SCHEMAS["unmatchedPayment"]
    assert set(schema["properties"]) == set(schema["required"]) == set(members())
    assert set(schema["properties"]["reason"]["enum"]) == set(get_args(UnmatchedReason))
    for changes in ({}, {"provider": "bank"}, {"amount_fen": 9.5}, {"reason": "other"}, {"schema": "x"}):
        value = members(**changes)
        try:
            parse_unmatched(None, json.dumps(value).encode())
        except PoisonRecord:
            assert not _valid("unmatchedPayment", value)
        else:
            assert _valid("unmatchedPayment", value)
