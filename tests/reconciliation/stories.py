"""What can become of one payment: quiet stories, which leave no difference, and one or more for each kind."""

from collections.abc import Callable
from datetime import timedelta

from reconciliation.days import day_of
from tests.reconciliation.world import CLOSED, DONE, PRICE_FEN, SILENT, UNDER_WAY, World

Story = Callable[[World, int, str], None]
"""Seeds a day with a payment at a provider."""

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def _order(world: World, day: int, provider: str, *, hours: float | None = None, late: timedelta = HOUR / 60):
    name, paid = world.name(), world.moment(day, hours)
    world.pays(name, provider, paid)
    world.claims(name, provider, paid, paid + late)
    return name, paid


# --- quiet -------------------------------------------------------------------------------------------------------


def delivered(world: World, day: int, provider: str) -> None:
    name, paid = _order(world, day, provider)
    world.sells(name, paid + HOUR / 20)
    world.delivers(name, paid + HOUR / 10)


def delivered_over_the_days_cut(world: World, day: int, provider: str) -> None:
    """Paid before midnight, sold at midnight, booked after it."""
    name, paid = _order(world, day, provider, hours=23.98)
    world.sells(name, paid + HOUR / 100)
    world.delivers(name, paid + HOUR / 10)


def billed_the_next_day(world: World, day: int, provider: str) -> None:
    name, paid = world.name(), world.moment(day, 23.99)
    world.pays(name, provider, paid, billed_on=day_of(paid + DAY))
    world.claims(name, provider, paid, paid + HOUR / 60)
    world.sells(name, paid + HOUR)
    world.delivers(name, paid + HOUR)
    world.closed[f"payment:{provider}:42{name}"] = "timing"


def told_late(world: World, day: int, provider: str) -> None:
    """The callback comes after the first run."""
    name, paid = _order(world, day, provider, late=1.8 * DAY)
    world.sells(name, paid + 2 * DAY)
    world.delivers(name, paid + 2 * DAY)
    world.closed[f"payment:{provider}:42{name}"] = "timing"


def doubt_for_days(world: World, day: int, provider: str) -> None:
    """Sold at once, and the book hears of it five days later."""
    name, paid = _order(world, day, provider)
    world.sells(name, paid + HOUR / 20)
    world.delivers(name, paid + 5 * DAY)
    world.closed[f"order:{name}"] = "sold_without_order"


def refunded(world: World, day: int, provider: str) -> None:
    name, paid = _order(world, day, provider)
    world.sells(name, paid + HOUR / 20, "rejected")
    world.refuses(name, paid + HOUR / 10)
    world.refunds(name, provider, paid + HOUR / 5, f"R{name}", DONE)
    world.refund_confirmed(name, paid + HOUR / 5, paid + HOUR / 2)


def refunded_days_later(world: World, day: int, provider: str) -> None:
    name, paid = _order(world, day, provider)
    world.refuses(name, paid + 4 * DAY, "cancelled")
    world.sells(name, paid + 4 * DAY, "cancelled")
    world.refunds(name, provider, paid + 5 * DAY, f"R{name}", UNDER_WAY)
    world.at(paid + 8 * DAY, lambda: world.providers[provider].ends.update({f"R{name}": DONE}))
    world.refund_confirmed(name, paid + 5 * DAY, paid + 8 * DAY)


def refunded_under_a_second_number(world: World, day: int, provider: str) -> None:
    name, paid = _order(world, day, provider)
    world.refuses(name, paid + HOUR / 10)
    world.refunds(name, provider, paid + HOUR / 5, f"R{name}", CLOSED)
    world.refunds(name, provider, paid + HOUR, f"R{name}-2", DONE)
    world.refund_confirmed(name, paid + HOUR / 5, paid + 2 * HOUR, sequence=2)


def billed_as_refunded_the_next_day(world: World, day: int, provider: str) -> None:
    name, paid = _order(world, day, provider, hours=22.0)
    world.refuses(name, paid + HOUR / 10)
    world.refunds(name, provider, paid + 3 * HOUR, f"R{name}", DONE)
    world.refund_confirmed(name, paid + HOUR, paid + 1.5 * HOUR)
    world.closed[f"refund:{provider}:R{name}"] = "timing"


def part_given_back(world: World, day: int, provider: str) -> None:
    name, paid = _order(world, day, provider)
    world.sells(name, paid + HOUR / 20)
    world.delivers(name, paid + HOUR / 10)
    world.refunds(name, provider, paid + 2 * DAY, f"G1-1-{name}", DONE, 500)
    world.gives_back(name, paid + 2 * DAY, paid + 2 * DAY + HOUR / 10, 500)


def all_given_back_in_two_parts_of_which_one_is_billed_the_next_day(world: World, day: int, provider: str) -> None:
    name, paid = _order(world, day, provider, hours=21.0)
    world.sells(name, paid + HOUR / 20)
    world.delivers(name, paid + HOUR / 10)
    world.refunds(name, provider, paid + HOUR, f"G1-1-{name}", UNDER_WAY, PRICE_FEN - 1)
    world.at(paid + HOUR, lambda: world.providers[provider].ends.update({f"G1-1-{name}": DONE}))
    world.gives_back(name, paid + HOUR, paid + 1.1 * HOUR, PRICE_FEN - 1)
    world.refunds(name, provider, paid + 4 * HOUR, f"G2-1-{name}", DONE, 1)
    world.gives_back(name, paid + 2 * HOUR, paid + 2.5 * HOUR, 1, number=2)
    world.closed[f"refund:{provider}:G2-1-{name}"] = "timing"


def in_flight(world: World, day: int, provider: str) -> None:
    _order(world, day, provider)


def unmatched(world: World, day: int, provider: str) -> None:
    name, paid = world.name(), world.moment(day)
    world.pays(name, provider, paid)
    world.is_unmatched(name, provider, paid)


QUIET: tuple[Story, ...] = (
    delivered,
    delivered_over_the_days_cut,
    billed_the_next_day,
    told_late,
    doubt_for_days,
    refunded,
    refunded_days_later,
    refunded_under_a_second_number,
    billed_as_refunded_the_next_day,
    part_given_back,
    all_given_back_in_two_parts_of_which_one_is_billed_the_next_day,
    in_flight,
    unmatched,
)


# --- differences -------------------------------------------------------------------------------------------------


def paid_twice(world: World, day: int, provider: str) -> None:
    name, paid = _order(world, day, provider)
    second = world.pays(name, provider, paid + HOUR, transaction=f"43{name}")
    world.expected[f"payment:{provider}:{second}"] = "duplicate_payment"


def never_came_and_is_proven(world: World, day: int, provider: str) -> None:
    name, paid = world.name(), world.moment(day)
    world.pays(name, provider, paid)
    world.closed[f"payment:{provider}:42{name}"] = "payment_without_order"


def never_came_and_proves_nothing(world: World, day: int, provider: str) -> None:
    name, paid = world.name(), world.moment(day)
    world.pays(name, provider, paid, attachment=None)
    world.closed[f"payment:{provider}:42{name}"] = "payment_without_order"


def never_came_and_the_provider_denies_it(world: World, day: int, provider: str) -> None:
    name, paid = world.name(), world.moment(day)
    transaction = world.pays(name, provider, paid)
    del world.providers[provider].payments[transaction]
    world.expected[f"payment:{provider}:{transaction}"] = "payment_without_order"


def no_payment(world: World, day: int, provider: str) -> None:
    name, paid = world.name(), world.moment(day)
    world.claims(name, provider, paid, paid + HOUR / 60)
    world.expected[f"payment:{provider}:42{name}"] = "order_without_payment"


def another_amount(world: World, day: int, provider: str) -> None:
    name, paid = world.name(), world.moment(day)
    world.pays(name, provider, paid, billed_fen=PRICE_FEN - 100)
    world.claims(name, provider, paid, paid + HOUR / 60)
    world.expected[f"payment:{provider}:42{name}"] = "amount_differs"


def refunded_another_amount(world: World, day: int, provider: str) -> None:
    name, paid = _order(world, day, provider)
    world.refuses(name, paid + HOUR / 10)
    world.refunds(name, provider, paid + HOUR / 5, f"R{name}", DONE, PRICE_FEN - 1)
    world.refund_confirmed(name, paid + HOUR / 5, paid + HOUR / 2)
    world.expected[f"refund:{provider}:R{name}"] = "refund_amount_differs"


def sold_after_refusal(world: World, day: int, provider: str) -> None:
    name, paid = _order(world, day, provider)
    world.refuses(name, paid + HOUR / 10)
    world.refunds(name, provider, paid + HOUR / 5, f"R{name}", DONE)
    world.refund_confirmed(name, paid + HOUR / 5, paid + HOUR / 2)
    world.sells(name, paid + 2 * DAY)
    world.expected[f"order:{name}"] = "sold_after_refusal"


def delivered_and_refunded_elsewhere(world: World, day: int, provider: str) -> None:
    name, paid = _order(world, day, provider)
    world.sells(name, paid + HOUR / 20)
    world.delivers(name, paid + HOUR / 10)
    world.refunds(name, provider, paid + 2 * DAY, f"HAND-{name}", DONE)
    world.expected[f"refund:{provider}:42{name}:HAND-{name}"] = "delivered_and_refunded"


def given_back_by_nobody_we_know(world: World, day: int, provider: str) -> None:
    """A number like ours, and no two persons who have decided it."""
    name, paid = _order(world, day, provider)
    world.sells(name, paid + HOUR / 20)
    world.delivers(name, paid + HOUR / 10)
    world.refunds(name, provider, paid + 2 * DAY, f"G1-1-{name}", DONE, 500)
    world.expected[f"refund:{provider}:42{name}:G1-1-{name}"] = "delivered_and_refunded"


def given_back_another_amount(world: World, day: int, provider: str) -> None:
    name, paid = _order(world, day, provider)
    world.sells(name, paid + HOUR / 20)
    world.delivers(name, paid + HOUR / 10)
    world.refunds(name, provider, paid + 2 * DAY, f"G1-1-{name}", DONE, PRICE_FEN)
    world.gives_back(name, paid + 2 * DAY, paid + 2 * DAY + HOUR / 10, 500)
    world.expected[f"refund:{provider}:G1-1-{name}"] = "refund_amount_differs"


def given_back_and_no_bill_shows_it(world: World, day: int, provider: str) -> None:
    name, paid = _order(world, day, provider)
    world.sells(name, paid + HOUR / 20)
    world.delivers(name, paid + HOUR / 10)
    world.gives_back(name, paid + 2 * DAY, paid + 2 * DAY + HOUR / 10, 500)
    world.expected[f"refund:{provider}:G1-1-{name}"] = "refund_missing"


def refunded_twice(world: World, day: int, provider: str) -> None:
    name, paid = _order(world, day, provider)
    world.refuses(name, paid + HOUR / 10)
    world.refunds(name, provider, paid + HOUR / 5, f"R{name}", DONE)
    world.refund_confirmed(name, paid + HOUR / 5, paid + HOUR / 2)
    world.refunds(name, provider, paid + DAY, f"HAND-{name}", DONE)
    world.expected[f"refund:{provider}:42{name}:HAND-{name}"] = "refunded_twice"


def a_closed_number_was_paid_all_the_same(world: World, day: int, provider: str) -> None:
    name, paid = _order(world, day, provider)
    world.refuses(name, paid + HOUR / 10)
    world.refunds(name, provider, paid + HOUR / 5, f"R{name}", DONE)
    world.refunds(name, provider, paid + HOUR, f"R{name}-2", DONE)
    world.refund_confirmed(name, paid + HOUR / 5, paid + 2 * HOUR, sequence=2)
    world.expected[f"refund:{provider}:R{name}"] = "refunded_twice"


def part_refunded_elsewhere(world: World, day: int, provider: str) -> None:
    name, paid = _order(world, day, provider)
    world.refunds(name, provider, paid + HOUR, f"HAND-{name}", SILENT, 100)
    world.at(paid + 2 * DAY, lambda: world.providers[provider].ends.update({f"HAND-{name}": DONE}))
    world.expected[f"refund:{provider}:42{name}:HAND-{name}"] = "refund_unknown"


def refund_that_no_bill_shows(world: World, day: int, provider: str) -> None:
    name, paid = _order(world, day, provider)
    world.refuses(name, paid + HOUR / 10)
    world.refund_confirmed(name, paid + HOUR / 5, paid + HOUR / 2)
    world.expected[f"refund:{provider}:R{name}"] = "refund_missing"


def refund_that_was_closed(world: World, day: int, provider: str) -> None:
    name, paid = _order(world, day, provider)
    world.refuses(name, paid + HOUR / 10)
    world.refunds(name, provider, paid + HOUR / 5, f"R{name}", CLOSED)
    world.refund_confirmed(name, paid + HOUR / 5, paid + HOUR / 2)
    world.expected[f"refund:{provider}:R{name}"] = "refund_missing"


def sold_to_nobody(world: World, day: int, provider: str) -> None:
    del provider
    name = f"X{world.name()}"
    world.sells(name, world.moment(day))
    world.expected[f"order:{name}"] = "sold_without_order"


def sold_and_still_in_doubt(world: World, day: int, provider: str) -> None:
    name, paid = _order(world, day, provider)
    world.sells(name, paid + HOUR)
    world.expected[f"order:{name}"] = "sold_without_order"


def delivered_to_nobody(world: World, day: int, provider: str) -> None:
    name, paid = _order(world, day, provider)
    world.delivers(name, paid + HOUR)
    world.expected[f"order:{name}"] = "delivered_unknown_to_carrier"


SEEDED: tuple[Story, ...] = (
    paid_twice,
    never_came_and_is_proven,
    never_came_and_proves_nothing,
    never_came_and_the_provider_denies_it,
    no_payment,
    another_amount,
    refunded_another_amount,
    sold_after_refusal,
    delivered_and_refunded_elsewhere,
    given_back_by_nobody_we_know,
    given_back_another_amount,
    given_back_and_no_bill_shows_it,
    refunded_twice,
    a_closed_number_was_paid_all_the_same,
    part_refunded_elsewhere,
    refund_that_no_bill_shows,
    refund_that_was_closed,
    sold_to_nobody,
    sold_and_still_in_doubt,
    delivered_to_nobody,
)
