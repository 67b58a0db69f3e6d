"""Waiting for outcomes on a real Postgres: found when they come, never longer than asked, and honest when the database is away."""

import asyncio

import psycopg
import pytest

from api.intake.watch import OutcomeWatch
from events.places import Place
from projectors.database import connect, prepare
from projectors.outcomes import OUTCOMES_MODEL, OutcomeRow

pytestmark = pytest.mark.parts
PLACE = Place("hotline.commands", 3, 41)


def _tell(db: psycopg.Connection[object], place: Place, result: str = "decided") -> None:
    db.execute(
        """INSERT INTO outcome_v1 VALUES (%s, %s, %s, '\\x00', 'RU-2025-000001', 1, %s, '', '', NULL, NULL, NULL,
            '{RU-2025-000001}', '{2}', '{5}', '{77}', 0)""",
        [*place, result],
    )


def test_an_outcome_is_found_when_it_comes(database: str) -> None:
    with connect(database, "test") as db:
        prepare(db, [OUTCOMES_MODEL])

        async def story() -> list[OutcomeRow | None]:
            watch = OutcomeWatch(database)
            others = [asyncio.create_task(watch.wait_for(Place("hotline.commands", 3, n), 5.0)) for n in range(50, 90)]
            waiting = [asyncio.create_task(watch.wait_for(PLACE, 5.0)) for _ in range(3)]
            await asyncio.sleep(0)
            _tell(db, PLACE)
            found = await asyncio.gather(*waiting)
            for other in others:
                other.cancel()
            await watch.close()
            return found

        found = asyncio.run(story())

    decisions = [{"number": "RU-2025-000001", "version": 2, "partition": 5, "offset": 77}]
    assert found == [OutcomeRow("decided", "", "", None, None, decisions)] * 3


def test_an_outcome_that_does_not_come_is_not_waited_for_longer_than_asked(database: str) -> None:
    with connect(database, "test") as db:
        prepare(db, [OUTCOMES_MODEL])

    async def story() -> tuple[OutcomeRow | None, int]:
        watch = OutcomeWatch(database)
        found = await watch.wait_for(PLACE, 0.1)
        left = len(watch._waiting)
        await watch.close()
        return found, left

    assert asyncio.run(story()) == (None, 0)


@pytest.mark.parametrize("address", ["postgresql://127.0.0.1:1/none", "no tables"])
def test_without_a_database_or_its_tables_the_wait_ends_at_once(database: str, address: str) -> None:
    async def story() -> OutcomeRow | None:
        watch = OutcomeWatch(address if address != "no tables" else database)
        async with asyncio.timeout(5.0):
            found = await watch.wait_for(PLACE, 60.0)
        assert await watch.unseen("RU-2025-000001", 1, 2, 60.0) == []
        await watch.close()
        return found

    assert asyncio.run(story()) is None


def test_a_database_that_comes_back_is_used_again(database: str) -> None:
    with connect(database, "test") as db:
        prepare(db, [OUTCOMES_MODEL])
        _tell(db, PLACE)

        async def story() -> tuple[OutcomeRow | None, OutcomeRow | None]:
            watch = OutcomeWatch(database)
            assert await watch.wait_for(PLACE, 5.0) is not None
            db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'intake'")
            during, after = await watch.wait_for(PLACE, 5.0), await watch.wait_for(PLACE, 5.0)
            await watch.close()
            return during, after

        during, after = asyncio.run(story())

    assert during is None
    assert after is not None
