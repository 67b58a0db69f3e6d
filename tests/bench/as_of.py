"""What a ticket's age costs whoever asks where it stood, and what `ticket_versions` costs the projectors beside the two models they had."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from time import perf_counter
from typing import Any
from urllib.parse import quote

import uvloop
from psycopg import Connection

from api.access import issue
from events.envelope import TICKETS, Decision
from events.settings import Settings
from events.wire.codec import load_codec
from projectors import database
from projectors.audit_log import AUDIT_LOG
from projectors.model import ReadModel
from projectors.record import Record
from projectors.registry import PROJECTIONS
from projectors.ticket_status import TICKET_STATUS
from projectors.ticket_versions import TICKET_VERSIONS
from tests.bench.figures import Figure, percentiles_ms
from tests.bench.line import get, lines
from tests.bench.lives import Lives
from tests.bench.stack import own_stack, processes
from tests.made import MORNING, registered, taken

DECISIONS = 30_000
BATCH_RECORDS = 10_000
YOUNG, OLD = 10, 5_000  # events
YOUNG_TICKETS = 1_000
ASKED = 500
_STEP_US = 1_000_000
_MOST_TIMES_SLOWER = 2.0
_LIMIT_S = 60.0


def run() -> list[Figure]:
    """Measure both on one stack."""
    with own_stack() as settings:
        with database.connect(settings.database, "bench") as db:
            database.prepare(db, PROJECTIONS)
            taken_s = _apply_all(db, Lives().decisions(DECISIONS))
            _make_ages(db)
            db.execute("ANALYZE")
        with processes(settings, "api"):
            waits_s = uvloop.run(_ask(settings))
    return [_of_age(waits_s), _of_cost(taken_s)]


def _of_age(waits_s: dict[int, list[float]]) -> Figure:
    young, old = (percentiles_ms(waits_s[age]) for age in (YOUNG, OLD))
    return Figure(
        bench="as_of",
        what=f"card as of a moment, {OLD} events beside {YOUNG}",
        value=old["p50"],
        unit="ms",
        floor=young["p50"],
        at_most=_MOST_TIMES_SLOWER * young["p50"],
        details={"old": str(old), "young": str(young)},
    )


def _of_cost(taken_s: dict[str, float]) -> Figure:
    before_s = taken_s[AUDIT_LOG.name] + taken_s[TICKET_STATUS.name]
    rate = {name: f"{DECISIONS / seconds:,.0f}/s" for name, seconds in taken_s.items()}
    return Figure(
        bench="as_of",
        what="time to write versions, of that for audit log and ticket status",
        value=100 * taken_s[TICKET_VERSIONS.name] / before_s,
        unit="%",
        details=rate,
    )


def _apply_all(db: Connection[Any], decisions: Sequence[Decision]) -> dict[str, float]:
    """Let each model apply the same batches; return the seconds each took, its commits included."""
    records = list(_records(decisions))
    taken_s: dict[str, float] = {}
    models: tuple[ReadModel, ...] = (AUDIT_LOG, TICKET_STATUS, TICKET_VERSIONS)
    for start in range(0, len(records), BATCH_RECORDS):
        for model in models:
            began = perf_counter()
            with db.transaction():
                model.apply(db, records[start : start + BATCH_RECORDS])
            taken_s[model.name] = taken_s.get(model.name, 0.0) + perf_counter() - began
    return taken_s


def _records(decisions: Sequence[Decision], partition: int = 0) -> Iterator[Record]:
    codec = load_codec()
    for offset, decision in enumerate(decisions):
        encoded = codec.encode(decision, "/bench")
        yield Record(TICKETS, partition, offset, encoded.key, MORNING + offset, encoded.value, decision)


def _make_ages(db: Connection[Any]) -> None:
    """Many young tickets and one old, their decisions through each other; all last equally long."""
    ages = {_number(n): YOUNG for n in range(YOUNG_TICKETS)} | {_number(-1): OLD}
    span_us = OLD * _STEP_US
    lives = [
        [registered(number, recorded_at=MORNING), *(taken(v, number, recorded_at=MORNING + v * span_us // age) for v in range(2, age + 1))]
        for number, age in ages.items()
    ]
    together = sorted((decision for life in lives for decision in life), key=lambda one: (one.recorded_at, one.version))
    with db.transaction():
        TICKET_VERSIONS.apply(db, list(_records(together, partition=1)))


def _number(place: int) -> str:
    return f"RU-2032-{place + 1:06}"


async def _ask(settings: Settings) -> dict[int, list[float]]:
    """Ask for young and old tickets by turns, each at a moment of its life; return how long each answer took, by age."""
    token, random = issue(settings, "auditor", "bench", 3600), Random(1)
    waits_s: dict[int, list[float]] = {YOUNG: [], OLD: []}
    async with lines(settings.api_port, 1) as (line,):
        for turn in range(2 * ASKED):
            age = YOUNG if turn % 2 else OLD
            number = _number(random.randrange(YOUNG_TICKETS) if age == YOUNG else -1)
            moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=MORNING + random.randrange(OLD) * _STEP_US)
            began = perf_counter()
            answer = await asyncio.wait_for(line.ask(get(f"/v1/tickets/{number}?as_of={quote(moment.isoformat())}", token)), _LIMIT_S)
            waits_s[age].append(perf_counter() - began)
            assert answer.status == 200, answer
    return waits_s
