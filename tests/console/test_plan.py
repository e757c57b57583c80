"""A plan holds what it says: orders are orders, poison is poison, and a seed repeats it."""

import pytest

from devkit.demo.plan import Merchant, Plan, plan_incident, plan_load, plan_sample
from devkit.demo.scenarios import LOAD, POISON
from orders.record import PoisonRecord, parse

MERCHANT = Merchant("1900000109", "2088102146225135")


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_load(seed=7, total=221, merchant=MERCHANT)


def test_the_same_seed_makes_the_same_plan_and_another_seed_another():
    assert plan_load(1, 221, MERCHANT) == plan_load(1, 221, MERCHANT) != plan_load(2, 221, MERCHANT)


def test_the_load_has_at_least_200_orders_every_poison_and_every_scenario(plan):
    assert len(plan.orders) >= 200
    assert {order.scenario.name for order in plan.orders} == {scenario.name for scenario in LOAD}
    assert sum(record.scenario == "poison" for record in plan.records) == len(POISON)


def test_a_small_load_still_has_every_scenario():
    names = {order.scenario.name for order in plan_load(1, 10, MERCHANT).orders}
    assert names == {scenario.name for scenario in LOAD}


def test_order_ids_payments_and_vehicles_differ_from_order_to_order(plan):
    for attribute in ("order_id", "transaction_id", "vin"):
        assert len({getattr(order, attribute) for order in plan.orders}) == len(plan.orders)


def test_each_record_that_is_no_poison_is_a_paid_order_of_the_plan(plan):
    known = {order.order_id: order for order in plan.orders}
    for record in (*plan.records, *plan_incident(1, MERCHANT).records):
        if record.dead_letter in ("invalid", "oversize"):
            continue
        read = parse(record.key, record.value)
        if read.order_id in known and not record.dead_letter:
            order = known[read.order_id]
            assert (read.vehicle.vin, read.amount_fen) == (order.vin, order.amount_fen)
            assert read.payment.transaction_id == order.transaction_id


@pytest.mark.parametrize("seed", range(50))
def test_a_sample_is_a_paid_order_whatever_its_seed(seed):
    plan = plan_sample(LOAD[seed % len(LOAD)], "T20231231235959000001", seed, MERCHANT)
    assert parse(plan.records[0].key, plan.records[0].value).order_id == plan.orders[0].order_id


def test_each_poison_is_poison_for_the_reason_it_gives(plan):
    for record in plan.records:
        if record.scenario == "poison":
            with pytest.raises(PoisonRecord) as refused:
                parse(record.key, record.value)
            assert refused.value.reason == record.dead_letter


def test_repeats_of_a_record_have_the_same_content_in_other_bytes(plan):
    copies = [record for record in plan.records if record.scenario == "recorded twice more"]
    by_key: dict[bytes | None, list[bytes]] = {}
    for record in copies:
        by_key.setdefault(record.key, []).append(record.value)
    for key, values in by_key.items():
        assert len(set(values)) == len(values) == 3
        assert len({parse(key, value).content_digest() for value in values}) == 1


def test_an_order_comes_before_the_records_that_conflict_with_it(plan):
    seen: set[bytes | None] = set()
    for record in plan.records:
        assert not record.goes_with or record.goes_with.encode() in seen
        seen.add(record.key)


def test_the_incident_is_one_order_recorded_three_times():
    incident = plan_incident(1, MERCHANT)
    assert len(incident.orders) == 1
    assert len(incident.records) == 3
    assert len({record.key for record in incident.records}) == 1
