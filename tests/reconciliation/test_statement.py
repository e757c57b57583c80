"""The carrier's statement is taken whole, or not at all: over HTTP as contracts §4 has it."""

from collections.abc import Callable

import httpx
import pytest

from adapters.carriers.tmf622.client import Tmf622Carrier
from adapters.carriers.tmf622.statement import PAGE_ORDERS, Tmf622Statements
from reconciliation.evidence import Sale
from reconciliation.ports import NotWhole, ReadAgain

DAY = "2026-03-10"


def order(number: int, **changes: object) -> dict[str, object]:
    members = {"id": f"PO{number}", "externalId": f"T{number:06d}", "state": "completed"}
    return members | {"completionDate": "2026-03-10T04:00:00+00:00"} | changes


async def read(answer: Callable[[httpx.Request], httpx.Response]) -> list[Sale]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        statements = Tmf622Statements(Tmf622Carrier(http, url="https://carrier.example", token="t"))
        return [sale async for page in statements.read(DAY) for sale in page]


def pages(orders: list[dict[str, object]], total: Callable[[int], object]) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        query = request.url.params
        assert (query["completionDate.gte"], query["completionDate.lt"]) == (
            "2026-03-09T16:00:00Z",
            "2026-03-10T16:00:00Z",
        )
        offset, limit = int(query["offset"]), int(query["limit"])
        status = 200 if offset + limit >= len(orders) else 206
        return httpx.Response(
            status, json=orders[offset : offset + limit], headers={"X-Total-Count": str(total(offset))}
        )

    return answer


async def test_all_pages_of_a_day_in_china_are_read():
    orders = [order(number) for number in range(PAGE_ORDERS * 2 + 1)]

    sales = await read(pages(orders, lambda _: len(orders)))
    assert [sale.order_id for sale in sales] == [one["externalId"] for one in orders]
    assert {(sale.state, sale.day, sale.is_sold) for sale in sales} == {("completed", DAY, True)}
    assert await read(pages([], lambda _: 0)) == []


async def test_a_count_that_changes_between_pages_or_in_the_end_begins_anew():
    orders = [order(number) for number in range(PAGE_ORDERS + 1)]

    for total in (lambda offset: len(orders) + offset, lambda _: len(orders) + 1):
        with pytest.raises(ReadAgain):
            await read(pages(orders, total))


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(401, json={"reason": "token"}),
        httpx.Response(200, json=[order(1)]),
        httpx.Response(200, text="<html>", headers={"X-Total-Count": "1"}),
        httpx.Response(200, json={"a": 1}, headers={"X-Total-Count": "1"}),
        httpx.Response(206, json=[], headers={"X-Total-Count": "1"}),
        *(
            httpx.Response(200, json=[order(1, **wrong)], headers={"X-Total-Count": "1"})
            for wrong in (
                *({"state": "inProgress"}, {"state": ["completed"]}, {"state": {}}, {"externalId": None}, {"id": ""}),
                {"completionDate": "2026-03-10"},
                {"completionDate": "9999-12-31T23:59:59+00:00"},
                {"completionDate": "0001-01-01T00:00:00+14:00"},
            )
        ),
        *(httpx.Response(200, json=[order(1)], headers={"X-Total-Count": count}) for count in ("-1", "1" * 5000)),
    ],
)
async def test_what_is_no_whole_statement_judges_nothing(answer: httpx.Response):
    with pytest.raises(NotWhole):
        await read(lambda _request: httpx.Response(answer.status_code, content=answer.content, headers=answer.headers))


async def test_a_statement_that_goes_on_behind_its_count_is_not_read_on():
    asked: list[int] = []

    def endless(request: httpx.Request) -> httpx.Response:
        asked.append(offset := int(request.url.params["offset"]))
        assert offset < 5, "it would never end"
        return httpx.Response(206, json=[order(offset)], headers={"X-Total-Count": "2"})

    with pytest.raises(ReadAgain):
        await read(endless)
    assert asked == [0, 1, 2]
