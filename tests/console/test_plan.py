"""A plan holds what it says: payments become orders, strays become dead letters, and a seed repeats it."""

import pytest

from devkit.demo.plan import Merchant, Plan, PlannedOrder, StrayRecord, plan_incident, plan_late, plan_load, plan_sample
from devkit.demo.scenarios import LOAD, POISON
from orders.attachment import Purchase, make_attachment, read_attachment
from orders.paid_order import Vehicle
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
    assert sum(record.scenario == "poison" for record in plan.strays) == len(POISON)


def test_a_small_load_still_has_every_scenario():
    names = {order.scenario.name for order in plan_load(1, 10, MERCHANT).orders}
    assert names == {scenario.name for scenario in LOAD}


def test_order_ids_payments_and_vehicles_differ_from_order_to_order(plan):
    for attribute in ("order_id", "transaction_id", "vin"):
        assert len({getattr(order, attribute) for order in plan.orders}) == len(plan.orders)


def test_each_payment_buys_what_the_order_says(plan):
    key = bytes(range(32))
    for order in (*plan.orders, *plan_incident(1, MERCHANT).orders, *plan_late(1, MERCHANT).orders):
        bought = Purchase(Vehicle.model_validate(order.vehicle), order.package_id)
        number = {"out_trade_no": order.order_id, "amount_fen": order.amount_fen}
        carried = make_attachment(key, bought, **number)
        assert read_attachment([key], carried, **number) == bought
        assert order.payment(carried, "http://gateway")["attach"] == carried


@pytest.mark.parametrize("seed", range(50))
def test_a_sample_is_an_order_of_its_own_whatever_its_seed(seed):
    [order] = plan_sample(LOAD[seed % len(LOAD)], "T20231231235959000001", seed, MERCHANT).orders
    assert order.payment(None, None)["out_trade_no"] == order.order_id == "T20231231235959000001"
    assert Vehicle.model_validate(order.vehicle)


def test_a_conflict_is_a_paid_order_that_says_something_else(plan):
    orders = {order.order_id: order for order in plan.orders}
    conflicts = [record for record in plan.strays if record.dead_letter == "conflict"]
    assert conflicts
    for record in conflicts:
        order, read = orders[record.goes_with], parse(record.key, record.value)
        assert read.payment.transaction_id == order.transaction_id
        assert (read.order_id, read.amount_fen) != (order.order_id, order.amount_fen)


def test_each_poison_is_poison_for_the_reason_it_gives(plan):
    for record in plan.strays:
        if record.scenario == "poison":
            with pytest.raises(PoisonRecord) as refused:
                parse(record.key, record.value)
            assert refused.value.reason == record.dead_letter


def test_an_order_comes_before_the_records_that_conflict_with_it(plan):
    paid: set[str] = set()
    for turn in plan.turns:
        match turn:
            case PlannedOrder():
                paid.add(turn.order_id)
            case StrayRecord():
                assert not turn.goes_with or turn.goes_with in paid


def test_the_incident_is_one_payment_of_which_the_provider_tells_three_times():
    incident = plan_incident(1, MERCHANT)
    [order] = incident.orders
    assert incident.payment_faults("wechat")[order.transaction_id][0] == {"kind": "repeat", "count": 3}


def test_the_payment_without_a_callback_is_none_of_the_others(plan):
    [late] = plan_late(7, MERCHANT).orders
    assert late.order_id not in {order.order_id for order in plan.orders}
    assert late.transaction_id not in {order.transaction_id for order in plan.orders}
