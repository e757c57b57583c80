"""The benchmark's own check: it runs on real parts, and what is wrong in the outside world makes it fail."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.books import Books
from bench.orders import BenchOrder, Merchants, Trouble, make_orders
from bench.report import memory_slopes, ratios
from bench.rounds import Memory, Result
from devkit.servers import kafka, mosquitto, postgres, temporal
from devkit.servers.process import PartMissingError
from orders.record import parse

ROOT = Path(__file__).parents[2]
MERCHANTS = Merchants("1900000109", "2088000000000001")
PLATFORM = "cars"


def run_bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=280)


@pytest.mark.real
def test_a_small_run_measures_both_sagas_and_finds_every_effect_right():
    try:
        for part in (kafka, mosquitto, postgres, temporal):
            part.find()
    except PartMissingError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))

    done = run_bench("compare", "--orders", "20", "--pairs", "1", "--warm-up", "5", "--cores", "1", "--json")

    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert [(one["variant"], one["orders"]) for one in shown["rounds"]] == [("local first", 20), ("all regular", 20)]
    assert len(shown["ratios"]) == 1
    for one in shown["rounds"]:
        assert one["mismatches"] == []
        assert one["orders_per_second"] > 0
        assert one["cpu_ms_per_order"]["worker"] > 0
        assert one["cpu_ms_per_order"]["PostgreSQL (book)"] > 0


def test_help_shows_examples_and_a_wrong_word_ends_with_2_and_a_sentence():
    assert "python -m bench compare" in run_bench("--help").stdout
    wrong = run_bench("compair")
    assert wrong.returncode == 2
    assert "compare, trouble, memory" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_every_order_is_one_that_the_product_accepts_and_none_is_made_twice():
    orders = [*make_orders(1, 0, 300, Trouble(), MERCHANTS), *make_orders(1, 300, 300, Trouble(), MERCHANTS)]
    for order in orders:
        assert parse(order.order_id.encode(), order.record()).amount_fen == order.amount_fen
    assert len({order.order_id for order in orders}) == len({order.transaction_id for order in orders}) == 600


def test_trouble_meets_as_many_of_a_hundred_orders_as_asked_for():
    trouble = Trouble(lost_answers_percent=5, silent_percent=3, refused_percent=2)
    kinds = [fault["kind"] for number in range(100) if (fault := trouble.fault(number))]
    assert {kind: kinds.count(kind) for kind in kinds} == {"reset": 5, "hang": 3, "refuse": 2}


class World:
    """Books as simulators would have written them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, book: str, kind: str, **data: Any) -> None:
        entry = {"at": "2026-01-01T00:00:00.000000Z", "kind": kind, "data": data}
        with (self._folder / f"{book}.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def deliver(self, order: BenchOrder) -> None:
        self.write("carrier", "post", external_id=order.order_id)
        self.write("carrier", "sold", external_id=order.order_id)
        self.notify(order, "delivered")

    def refund(self, order: BenchOrder) -> None:
        self.write("carrier", "post", external_id=order.order_id)
        self.write("carrier", "rejected", external_id=order.order_id)
        self.notify(order, "failed")
        self.write(order.provider, "refunded", out_trade_no=order.order_id, amount_fen=order.amount_fen)
        self.notify(order, "refunded")

    def notify(self, order: BenchOrder, result: str) -> None:
        notice_id = f"{order.order_id}:{result}"
        self.write("vehicle", "notice", broker=PLATFORM, order_id=order.order_id, result=result, id=notice_id)

    def seen(self, *orders: BenchOrder) -> list[str]:
        books = Books(self._folder, [PLATFORM])
        books.look()
        return books.mismatches(orders) + books.strangers({order.order_id for order in orders})


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def good() -> BenchOrder:
    return make_orders(1, 0, 1, Trouble(), MERCHANTS)[0]


@pytest.fixture
def refused() -> BenchOrder:
    return make_orders(1, 0, 1, Trouble(refused_percent=100), MERCHANTS)[0]


def test_right_effects_are_found_right(world: World, good: BenchOrder):
    other = make_orders(1, 1, 1, Trouble(refused_percent=100), MERCHANTS)[0]
    world.deliver(good)
    world.refund(other)
    assert world.seen(good, other) == []


def test_a_notice_that_came_twice_is_no_mistake(world: World, good: BenchOrder):
    world.deliver(good)
    world.notify(good, "delivered")
    assert world.seen(good) == []


def test_a_second_sale_is_found(world: World, good: BenchOrder):
    world.deliver(good)
    world.write("carrier", "sold", external_id=good.order_id)
    assert world.seen(good) == [f"{good.order_id}: sold 2 times"]


def test_a_second_post_is_found(world: World, good: BenchOrder):
    world.deliver(good)
    world.write("carrier", "post", external_id=good.order_id)
    assert len(world.seen(good)) == 1


def test_a_refund_of_what_was_delivered_is_found(world: World, good: BenchOrder):
    world.deliver(good)
    world.write(good.provider, "refunded", out_trade_no=good.order_id, amount_fen=good.amount_fen)
    assert len(world.seen(good)) == 1


@pytest.mark.parametrize("amounts", [[], [1], [-1]], ids=["none", "another amount", "twice"])
def test_a_refund_that_is_missing_or_wrong_is_found(world: World, refused: BenchOrder, amounts: list[int]):
    world.write("carrier", "post", external_id=refused.order_id)
    world.write("carrier", "rejected", external_id=refused.order_id)
    world.notify(refused, "failed")
    world.notify(refused, "refunded")
    for amount in [refused.amount_fen] * 2 if amounts == [-1] else [refused.amount_fen + one for one in amounts]:
        world.write(refused.provider, "refunded", out_trade_no=refused.order_id, amount_fen=amount)
    assert len(world.seen(refused)) == 1


def test_a_notice_that_is_missing_or_of_another_end_is_found(world: World, good: BenchOrder, refused: BenchOrder):
    world.write("carrier", "post", external_id=good.order_id)
    world.write("carrier", "sold", external_id=good.order_id)
    assert len(world.seen(good)) == 1
    world.notify(good, "refunded")
    assert len(world.seen(good)) >= 1


def test_an_order_that_nobody_paid_is_found(world: World, good: BenchOrder):
    world.deliver(good)
    assert world.seen() == [f"{good.order_id}: effects of an order that was never produced"]


def test_an_order_is_at_its_end_only_with_its_money_and_every_notice(world: World, good: BenchOrder, tmp_path: Path):
    books = Books(tmp_path, [PLATFORM])
    world.write("carrier", "sold", external_id=good.order_id)
    books.look()
    assert not books.terminal(good)
    world.notify(good, "delivered")
    books.look()
    assert books.terminal(good)


def test_the_slope_of_memory_is_what_each_order_leaves_behind():
    result = Result("any", 20_000)
    for at in (0, 5_000, 10_000, 20_000):
        held = Memory(0, 100_000 + at // 1_000)
        result.memory[at] = {"bridge": Memory(0, 70_000), "worker": held}
    slopes = memory_slopes(result)
    assert slopes["bridge"] == 0
    assert slopes["worker"] == pytest.approx(1.024)


def test_a_ratio_is_made_of_two_rounds_that_ran_one_after_the_other():
    compared = [Result("a", 100, seconds=seconds) for seconds in (1.0, 3.0, 1.0, 2.0)]
    assert [ratio for _, _, ratio in ratios(compared)] == pytest.approx([3.0, 2.0])
