"""`?at_least=TOKEN`: waits, within a bound, until the read models behind an answer have reached a token."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

from fastapi import Query

from api.problems import Problem
from api.queries.metrics import POSITION_WAITS
from api.queries.reading import Reading
from projectors.model import ReadModel
from projectors.reaching import demands_of, still_open
from projectors.tokens import BadToken, Token

DEFAULT_WAIT_MS, LONGEST_WAIT_MS = 2_000, 10_000
_LOOK_S = 0.01
_MOST_WAITERS = 1_000
_waiters = 0

AtLeast = Annotated[str | None, Query(max_length=4_000, description="Position token: answer only once at least this much is included.")]
WaitMs = Annotated[int, Query(ge=0, le=LONGEST_WAIT_MS, description="How long at_least may wait, milliseconds.")]


async def wait_for(reading: Reading, models: Sequence[ReadModel], at_least: str | None, wait_ms: int) -> None:
    """Return once all `models` that an answer reads have reached the token `at_least`.

    Raise Problem bad-token, not-reached or too-many-requests.
    """
    global _waiters  # noqa: PLW0603 - one bound for the whole application
    if at_least is None:
        return
    try:
        token = Token.parse(at_least)
    except BadToken as bad:
        raise Problem.of("bad-token", field="at_least", detail=str(bad)) from None
    if _waiters >= _MOST_WAITERS:
        raise Problem.of("too-many-requests", headers={"Retry-After": "1"})
    _waiters += 1
    try:
        reached = await _is_reached(reading, models, token, wait_ms / 1000)
    finally:
        _waiters -= 1
    POSITION_WAITS.labels("reached" if reached else "late").inc()
    if not reached:
        raise Problem.of("not-reached", field="at_least", headers={"Retry-After": "1"}, waited_ms=wait_ms)


async def _is_reached(reading: Reading, models: Sequence[ReadModel], token: Token, wait_s: float) -> bool:
    loop = asyncio.get_running_loop()
    until_s = loop.time() + wait_s
    waiting = [(model, demands_of(model, token)) for model in models]
    while True:
        progress = await reading.progress()
        waiting = [(model, left) for model, demands in waiting if (left := still_open(model, demands, progress))]
        if not waiting or loop.time() >= until_s:
            return not waiting
        await asyncio.sleep(_LOOK_S)
