"""The drift audit as figures: how much of all tickets was compared lately, how fast, and what was found and is not repaired.

Looked at now and then in the tables that the audit keeps; knows nothing of how it works. Without those tables, or without Postgres, the
figures stay as they are, and the age of the last pass grows.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import structlog
from psycopg import AsyncConnection, Error

from api.gathering import TooManyWaiting
from api.queries.metrics import DRIFT_COVERAGE, DRIFT_FINDINGS, DRIFT_FOUND, DRIFT_LAST_PASS, DRIFT_RATE
from api.queries.reading import Reading
from events.wire.partitioning import BUCKETS

_LOOK_EVERY_S = 15.0
_MOST_PASSES = 10_000

log = structlog.get_logger()

Span = tuple[int, int]  # first bucket and how many, on the ring


class DriftFigures(NamedTuple):
    """What the tables of the audit say."""

    spans: list[Span]  # compared within the window
    last: tuple[int, int, int] | None  # of the last pass: when it began and ended, in microseconds; records read
    findings: dict[str, tuple[int, int]]  # by model: not repaired, all


def coverage(spans: Iterable[Span]) -> float:
    """Return the share of all buckets, and so of all tickets, that `spans` hold together, from 0 to 1."""
    cut: list[Span] = []
    for start, width in spans:
        past = start + min(width, BUCKETS)
        cut += [(start, min(past, BUCKETS)), (0, past - BUCKETS)]
    held, reached = 0, 0
    for start, past in sorted(cut):
        held += max(0, past - max(start, reached))
        reached = max(reached, past)
    return held / BUCKETS


async def read_figures(db: AsyncConnection[Any], since_us: int) -> DriftFigures | None:
    """Read the figures, with the passes that began at `since_us` or later; None while there are no tables."""
    there = await (await db.execute("SELECT to_regclass('drift_pass') IS NOT NULL AND to_regclass('drift_finding') IS NOT NULL")).fetchone()
    if there is None or not there[0]:
        return None
    rows = await db.execute(
        """
        SELECT start, width FROM drift_pass WHERE began_at >= %s AND models @> ARRAY['ticket_status'] ORDER BY began_at DESC LIMIT %s
        """,
        [since_us, _MOST_PASSES],
    )
    spans: list[Span] = await rows.fetchall()
    last = await (await db.execute("SELECT began_at, ended_at, read FROM drift_pass ORDER BY began_at DESC LIMIT 1")).fetchone()
    found = await db.execute("SELECT model, count(*) FILTER (WHERE repaired_at IS NULL), count(*) FROM drift_finding GROUP BY model")
    return DriftFigures(spans, last, {model: (still, all_) for model, still, all_ in await found.fetchall()})


class DriftWatch:
    """Keeps the figures of the audit fresh."""

    def __init__(self, reading: Reading, window_s: int) -> None:
        self._reading, self._window_us = reading, window_s * 1_000_000

    async def keep_looking(self) -> None:
        """Look again and again until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_EVERY_S)

    async def look(self) -> None:
        """Look once."""
        since_us = time.time_ns() // 1000 - self._window_us
        try:
            figures = await self._reading.ask(lambda db: read_figures(db, since_us))
        except (Error, TooManyWaiting) as failure:
            log.warning("drift figures unknown", because=type(failure).__name__)
            return
        if figures is not None:
            _show(figures)


def _show(figures: DriftFigures) -> None:
    DRIFT_COVERAGE.set(coverage(figures.spans))
    if figures.last is not None:
        began_us, ended_us, read = figures.last
        DRIFT_RATE.set(read * 1_000_000 / max(1, ended_us - began_us))
        DRIFT_LAST_PASS.set(ended_us / 1_000_000)
    for model, (still, all_) in figures.findings.items():
        DRIFT_FINDINGS.labels(model).set(still)
        DRIFT_FOUND.labels(model).set(all_)
