"""One question to the database for many requests that wait at the same moment.

While a fetch is under way, the keys asked for meanwhile make the next one: no request waits for a clock, and the more there are, the larger
the batches. Knows neither the database nor what is fetched.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MOST_KEYS_IN_FETCH = 500
MOST_KEYS_WAITING = 5_000
MOST_FETCHES = 2


class TooManyWaiting(Exception):
    """So many different keys wait already that one more would only wait longer."""


class Gatherer(Generic[K, V]):
    """Finds values by key, in batches; every bound is above."""

    def __init__(self, fetch: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], gather_s: float = 0.001) -> None:
        self._fetch, self._gather_s = fetch, gather_s
        self._waiting: dict[K, asyncio.Future[V | None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._fetches: set[asyncio.Task[None]] = set()

    async def find(self, key: K) -> V | None:
        """Return the value of `key` as of a moment after this call, or None; raise TooManyWaiting, or what the fetch raised."""
        answer = self._waiting.get(key)
        if answer is None:
            if len(self._waiting) >= MOST_KEYS_WAITING:
                raise TooManyWaiting
            answer = self._waiting[key] = asyncio.get_running_loop().create_future()
            self._start_soon()
        return await asyncio.shield(answer)  # one caller that leaves must not take the answer from the others

    def _start_soon(self) -> None:
        if self._timer is None and len(self._fetches) < MOST_FETCHES:
            self._timer = asyncio.get_running_loop().call_later(self._gather_s, self._start)

    def _start(self) -> None:
        self._timer = None
        batch = dict(list(self._waiting.items())[:MOST_KEYS_IN_FETCH])
        for key in batch:
            del self._waiting[key]
        task = asyncio.get_running_loop().create_task(self._answer(batch))
        self._fetches.add(task)
        task.add_done_callback(self._finished)
        if self._waiting:
            self._start_soon()

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._fetches.discard(task)
        if self._waiting:
            self._start_soon()

    async def _answer(self, batch: Mapping[K, "asyncio.Future[V | None]"]) -> None:
        try:
            found = await self._fetch(list(batch))
        except Exception as failure:  # noqa: BLE001 - handed on to every caller
            for answer in batch.values():
                _fail(answer, failure)
            return
        for key, answer in batch.items():
            if not answer.done():
                answer.set_result(found.get(key))


def _fail(answer: "asyncio.Future[V | None]", failure: Exception) -> None:
    if not answer.done():
        answer.set_exception(failure)
        answer.exception()  # seen: nobody may be waiting any more
