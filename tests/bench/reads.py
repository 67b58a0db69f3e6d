"""How many cards a second the query application reads, beside bare Starlette with the same bytes, the same server settings and client.

The server has one core and the client another, so neither takes from the other; Postgres runs on both.
"""

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from time import perf_counter, process_time
from typing import NamedTuple

import uvloop

from api.access import issue
from deploy.probes import serves
from deploy.spawn import Command
from deploy.stack import hotline
from events.settings import Settings
from projectors import database
from projectors.model import consumer_of
from projectors.positions import list_positions
from projectors.ticket_status import TICKET_STATUS
from tests.bench.figures import Figure, percentiles_ms
from tests.bench.line import Line, get, lines
from tests.bench.lives import Lives
from tests.bench.project import preload
from tests.bench.stack import bare_port, child, cpu_s, own_stack, processes
from tests.waiting import until

DECISIONS = 15_000
CONNECTIONS = 128  # so many that the server, not the way to the database and back, is the limit
FEW_CONNECTIONS = 32  # so few that it is not: shown beside it, without a goal
ROUNDS = 3
SECONDS = 2.5
_LIMIT_S = 30.0
_GOAL = 0.3
_OK = 200


class _Load(NamedTuple):
    """What one run of the client found."""

    per_s: float
    waits_s: list[float]
    client_share: float  # of its core
    server_share: float  # of its own, Postgres on it not counted


def run() -> list[Figure]:
    """Measure both by turns, with many connections and with few; the round with the middle ratio counts."""
    with own_stack() as settings:
        numbers = _make_cards(settings)
        token = issue(settings, "operator", "bench", 3600)
        requests = [get(f"/v1/tickets/{number}", token) for number in numbers]
        with _served(settings, hotline(settings, "run", "api"), settings.api_port) as ours:
            card = _one_card(settings.api_port, requests[0])
            file = settings.folder / "card.json"
            file.write_bytes(card)
            bare = Command((sys.executable, "-m", "tests.bench.bare", str(bare_port(settings)), str(file)), Path.cwd())
            with _served(settings, bare, bare_port(settings)) as floor:
                ways = ((bare_port(settings), floor), (settings.api_port, ours))
                _ask(*ways[1], requests, CONNECTIONS)  # warm
                found = {
                    many: [[_ask(*way, requests, many) for way in ways] for _ in range(ROUNDS)] for many in (CONNECTIONS, FEW_CONNECTIONS)
                }
    return [_figure(many, rounds, len(card), _GOAL if many == CONNECTIONS else None) for many, rounds in found.items()]


def _figure(connections: int, rounds: list[list[_Load]], card_bytes: int, goal: float | None) -> Figure:
    """Return what the round with the middle ratio found."""
    floor, ours = sorted(rounds, key=lambda one: one[1].per_s / one[0].per_s)[len(rounds) // 2]
    return Figure(
        bench="reads",
        what=f"cards, {connections} connections",
        value=ours.per_s,
        unit="1/s",
        floor=floor.per_s,
        at_least=goal,
        details={
            "ratio of each round": " ".join(f"{one[1].per_s / one[0].per_s:.2f}" for one in rounds),
            "bytes": card_bytes,
            **percentiles_ms(ours.waits_s),
            "server's core in use": f"{floor.server_share:.2f} bare, {ours.server_share:.2f} ours",
            "client's": f"{floor.client_share:.2f}, {ours.client_share:.2f}",
        },
    )


def _make_cards(settings: Settings) -> list[str]:
    """Let the real projector make rows; return their numbers."""
    decisions = Lives().decisions(DECISIONS)
    with processes(settings, f"projector {TICKET_STATUS.name}"), database.connect(settings.database, "bench") as db:
        database.prepare(db, (TICKET_STATUS,))
        preload(settings, decisions)
        consumer = consumer_of(TICKET_STATUS)
        until(lambda: sum(list_positions(db, [consumer])[consumer].values()) == DECISIONS, _LIMIT_S)
    numbers = sorted({decision.number for decision in decisions})
    Random(1).shuffle(numbers)
    return numbers


@contextmanager
def _served(settings: Settings, command: Command, port: int) -> Iterator[int]:
    """Serve while the block runs; gives the server's pid."""
    with child(command, settings.folder / "logs" / f"served-{port}.log", {_cores()[0]}) as process:
        until(lambda: serves(port), _LIMIT_S)
        yield process.pid


def _cores() -> tuple[int, int]:
    """Return the server's core and the client's; one machine may have but one."""
    there = sorted(os.sched_getaffinity(0))
    return there[0], there[-1]


def _one_card(port: int, request: bytes) -> bytes:
    async def ask() -> bytes:
        async with lines(port, 1) as (line,):
            answer = await asyncio.wait_for(line.ask(request), _LIMIT_S)
            assert answer.status == _OK, answer.status
            return answer.body

    return uvloop.run(ask())


def _ask(port: int, server: int, requests: Sequence[bytes], connections: int) -> _Load:
    """Let all connections ask for SECONDS, each the next card as soon as it has one."""
    waits_s: list[float] = []

    async def keep_asking(line: Line, first: int, until_s: float) -> None:
        place = first
        while (began := perf_counter()) < until_s:
            answer = await line.ask(requests[place % len(requests)])
            assert answer.status == _OK, answer.status
            waits_s.append(perf_counter() - began)
            place += connections

    async def load() -> None:
        async with lines(port, connections) as connected:
            end = perf_counter() + SECONDS
            asking = (keep_asking(line, first, end) for first, line in enumerate(connected))
            await asyncio.wait_for(asyncio.gather(*asking), SECONDS + _LIMIT_S)

    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {_cores()[1]})
    try:
        began, worked, served = perf_counter(), process_time(), cpu_s(server)
        uvloop.run(load())
        took_s, worked_s, served_s = perf_counter() - began, process_time() - worked, cpu_s(server) - served
    finally:
        os.sched_setaffinity(0, everywhere)
    return _Load(len(waits_s) / took_s, waits_s, worked_s / took_s, served_s / took_s)
