"""Who may read what, health, and what happens when a part is away."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest
from fastapi import Response
from psycopg import AsyncConnection, OperationalError
from psycopg.errors import QueryCanceled
from psycopg_pool import PoolTimeout, TooManyRequests

from api.gathering import MOST_FETCHES, Gatherer
from api.problems import MEDIA_TYPE
from api.queries.application import make_application
from api.queries.reading import Reading
from events.reference import load
from events.settings import Settings
from projectors.database import CONNECT_TIMEOUT_S
from tests.api.queries.conftest import NO_KAFKA, served
from tests.api.tokens import bearer, gate
from tests.made import CONTACT, NUMBER, registered
from tests.waiting import until

Ask = Callable[..., Any]
Follow = Callable[..., None]
ADDRESSES = (
    f"/v1/tickets/{NUMBER}",
    "/v1/tickets",
    f"/v1/tickets/{NUMBER}/history",
    f"/v1/contacts/{CONTACT.hex()}",
    "/v1/audit",
    "/v1/retention",
)
ALLOWED = {"adapter": 0, "operator": 4, "auditor": 6}  # how many of ADDRESSES, from the first


@pytest.mark.parametrize("role", ALLOWED)
def test_each_role_reads_what_it_may_and_nothing_else(follow: Follow, ask: Ask, role: str) -> None:
    follow(registered())

    statuses = [ask(address, role).status_code for address in ADDRESSES]

    assert [status == 403 for status in statuses] == [False] * ALLOWED[role] + [True] * (6 - ALLOWED[role])


def test_who_may_not_read_a_card_is_told_alike_on_the_short_way_and_on_the_long_one(follow: Follow, ask: Ask, client: httpx.Client) -> None:
    follow(registered())

    def refused(**asked: Any) -> tuple[int, str, dict[str, Any]]:
        answer = client.get(ADDRESSES[0], **asked)
        return answer.status_code, answer.headers["www-authenticate"], answer.json()

    for headers in (bearer("adapter"), {}):
        assert refused(headers=headers) == refused(headers=headers, params={"wait_ms": 0})


def test_what_nobody_foresaw_is_a_problem_on_the_short_way_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: object, __: str) -> None:
        raise RuntimeError(CONTACT.hex())

    monkeypatch.setattr(Gatherer, "find", broken)
    application = make_application("postgresql://127.0.0.1:1/none", NO_KAFKA, gate(), load())

    async def ask(query: str) -> httpx.Response:
        transport = httpx.ASGITransport(application, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            return await client.get(ADDRESSES[0] + query, headers=bearer("operator"))

    short, long = asyncio.run(ask("")), asyncio.run(ask("?wait_ms=0"))

    assert (short.status_code, short.json()["type"], short.headers["content-type"]) == (500, "internal", MEDIA_TYPE)
    assert short.content == long.content


def test_any_status_of_a_card_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    application = make_application("postgresql://127.0.0.1:1/none", NO_KAFKA, gate(), load())
    monkeypatch.setattr("api.queries.cards.card_answer", lambda *_: Response(status_code=418))

    async def found(_: object, __: str) -> object:
        return object()

    monkeypatch.setattr(Gatherer, "find", found)

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://api") as client:
            return await client.get(ADDRESSES[0], headers=bearer("operator"))

    assert asyncio.run(ask()).status_code == 418


def test_without_a_token_nothing_is_read(client: httpx.Client) -> None:
    for address in ADDRESSES:
        assert client.get(address).status_code == 401


def test_health_and_docs_need_no_token(follow: Follow, client: httpx.Client) -> None:
    follow(registered())

    assert client.get("/livez").status_code == 200
    assert until(lambda: client.get("/readyz").status_code == 200)
    assert "/v1/tickets/{number}" in client.get("/docs").text
    assert client.get("/openapi.json").json()["paths"].keys() >= {"/v1/tickets", "/v1/tickets/{number}", "/v1/audit", "/v1/retention"}


def test_metrics_name_the_route_and_never_the_number(follow: Follow, client: httpx.Client, ask: Ask) -> None:
    follow(registered())
    ask(f"/v1/tickets/{NUMBER}")

    text = client.get("/metrics").text

    assert "/v1/tickets/{number}" in text
    assert NUMBER not in text
    for name in ("hotline_http_request_seconds", "hotline_read_model_lag_records", "hotline_cards_in_fetch", "hotline_position_waits"):
        assert name in text


def test_before_the_first_build_the_application_is_not_ready_and_says_so(client: httpx.Client, ask: Ask) -> None:
    assert "ticket_status" in client.get("/readyz").json()["waits_for"]["read_models"]
    assert [(ask(a, "auditor").status_code, ask(a, "auditor").json()["type"]) for a in ADDRESSES] == [(503, "not-ready")] * 6


def test_with_postgres_away_reads_answer_503_and_the_process_lives() -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/none?connect_timeout=1"
    with served(nowhere) as client:
        answers = [client.get(address, headers=bearer("auditor")) for address in ADDRESSES[:2]]

        assert [(a.status_code, a.json()["type"]) for a in answers] == [(503, "part-down")] * 2
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").status_code == 503


@pytest.mark.parts
def test_lag_is_known_when_kafka_answers(stack: Settings, database: str, follow: Follow) -> None:
    follow(registered())
    with served(database, stack.kafka_access) as client:
        assert until(lambda: 'hotline_read_model_lag_records{model="ticket_status"}' in client.get("/metrics").text)
        assert until(lambda: "hotline_read_model_lag_unknown 0.0" in client.get("/metrics").text)


def test_requests_that_wait_together_share_a_fetch_and_one_that_leaves_takes_nothing_from_the_others() -> None:
    batches: list[list[int]] = []

    async def fetch(keys: Sequence[int]) -> dict[int, int]:
        batches.append(list(keys))
        await asyncio.sleep(0)
        return {key: key * 10 for key in keys if key < 100}

    async def ask_many() -> list[int | None]:
        gatherer: Gatherer[int, int] = Gatherer(fetch)
        leaving = asyncio.create_task(gatherer.find(1))
        asking = [asyncio.create_task(gatherer.find(key)) for key in (1, 2, 2, 100)]
        await asyncio.sleep(0)
        leaving.cancel()
        return list(await asyncio.gather(*asking))

    assert asyncio.run(ask_many()) == [10, 20, 20, None]
    assert batches == [[1, 2, 100]]


def test_failed_fetch_fails_for_all_who_waited_and_the_next_one_is_tried() -> None:
    tries: list[int] = []

    async def fetch(keys: Sequence[int]) -> dict[int, int]:
        tries.append(len(keys))
        if len(tries) <= MOST_FETCHES:
            raise ConnectionError
        return dict.fromkeys(keys, 7)

    async def ask_many() -> None:
        gatherer: Gatherer[int, int] = Gatherer(fetch)
        for _ in range(MOST_FETCHES):
            found = await asyncio.gather(gatherer.find(1), gatherer.find(2), return_exceptions=True)
            assert [type(one) for one in found] == [ConnectionError] * 2
        assert await gatherer.find(1) == 7

    asyncio.run(ask_many())


@pytest.mark.parametrize(
    ("failure", "tries"), [(QueryCanceled(), 1), (PoolTimeout(), 1), (TooManyRequests(), 1), (OperationalError(), 2)], ids=repr
)
def test_only_a_broken_connection_is_tried_again_and_overload_never(database: str, failure: OperationalError, tries: int) -> None:
    tried: list[AsyncConnection[Any]] = []

    async def question(db: AsyncConnection[Any]) -> None:
        tried.append(db)
        raise failure

    async def ask() -> None:
        read = Reading(database)
        await read.open()
        try:
            with pytest.raises(type(failure)):
                await read.ask(question)
        finally:
            await read.close()

    asyncio.run(ask())

    assert len(tried) == tries


def test_an_attempt_to_connect_is_bounded() -> None:
    async def settings() -> Any:
        return Reading("postgresql://127.0.0.1:1/none")._pool.kwargs

    assert asyncio.run(settings())["connect_timeout"] == CONNECT_TIMEOUT_S
