"""A Postgres that holds its connections and says nothing, as a frozen process or a cut line does: no wait is without a bound."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import cast

import httpx
from fastapi import FastAPI

from api import health, problems
from api.queries import reading
from api.queries.reading import Reading
from projectors.database import LINE
from tests.api.queries.conftest import served
from tests.api.queries.relay import relayed
from tests.api.tokens import bearer
from tests.made import NUMBER, registered
from tests.waiting import until

Follow = Callable[..., None]
AT_ONCE = 12  # more than the pool holds
LONGEST_S = 2 * (reading.ANSWER_S + reading.CONNECTION_WAIT_S) + 2  # a fetch under way, then one's own, and a slow machine
ADDRESSES = (f"/v1/tickets/{NUMBER}", f"/v1/tickets/{NUMBER}/history", "/v1/tickets", "/readyz")


def test_a_silent_postgres_is_answered_503_within_a_bound_and_reads_recover(database: str, follow: Follow) -> None:
    follow(registered())
    with relayed(database) as relay, served(relay.address) as client, ThreadPoolExecutor(AT_ONCE) as threads:
        until(lambda: client.get("/readyz").status_code == 200)

        def ask(address: str) -> tuple[int, float]:
            began = monotonic()
            return client.get(address, headers=bearer("auditor")).status_code, monotonic() - began

        relay.speaks.clear()
        answers = list(threads.map(ask, ADDRESSES * (AT_ONCE // len(ADDRESSES))))

        assert {status for status, _ in answers} == {503}
        assert max(took_s for _, took_s in answers) < LONGEST_S
        relay.speaks.set()
        until(lambda: [ask(address)[0] for address in ADDRESSES] == [200] * len(ADDRESSES))


def test_a_line_that_fell_silent_is_cut_and_never_used_again(database: str) -> None:
    async def ask() -> tuple[str, int]:
        with relayed(database) as relay:
            read = Reading(relay.address)
            await read.open()
            try:
                await read.ask(lambda db: db.execute("SELECT"))
                relay.speaks.clear()
                try:
                    await read.ask(lambda db: db.execute("SELECT"))
                except reading.FAILURES as failure:
                    told = reading.problem_of(failure).document["type"]
                relay.speaks.set()
                return str(told), int(read._pool.get_stats().get("returns_bad", 0))
            finally:
                await read.close()

    began = monotonic()

    assert asyncio.run(ask()) == ("part-down", 1)
    assert monotonic() - began < LONGEST_S


def test_the_line_is_watched_from_this_side() -> None:
    async def settings() -> dict[str, object]:
        return cast(dict[str, object], Reading("postgresql://127.0.0.1:1/none")._pool.kwargs)

    assert asyncio.run(settings()).items() >= LINE.items()


def test_a_check_that_never_ends_is_told_by_its_name() -> None:
    async def hangs() -> str | None:
        await asyncio.Event().wait()
        return None

    async def ask() -> httpx.Response:
        app = FastAPI()
        problems.install(app)
        health.install(app, {"stuck": hangs, "also stuck": hangs})
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.get("/readyz")

    began = monotonic()
    answer = asyncio.run(ask())

    assert answer.status_code == 503
    assert answer.json()["waits_for"].keys() == {"stuck", "also stuck"}
    assert monotonic() - began < 2 * health.LONGEST_CHECK_S
