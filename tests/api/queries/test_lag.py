"""Where the log ends, as the query application sees it: what goes wrong ends no looking, and what is old counts as unknown."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event as Flag

import pytest

from api.queries import lag
from api.queries.lag import LogEndsWatch, Seen
from events.envelope import TICKETS
from events.wire.kafka import Kafka
from tests.waiting import until

ENDS = {(TICKETS, 0): 7}
Ask = Callable[[], dict[tuple[str, int], int]]


@contextmanager
def watching(monkeypatch: pytest.MonkeyPatch, ask: Ask) -> Iterator[LogEndsWatch]:
    """Watch a Kafka that answers what `ask` returns, often."""

    class Ends:
        def __init__(self, _: str) -> None:
            pass

        def latest(self, _: Iterable[str]) -> dict[tuple[str, int], int]:
            return ask()

        earliest = latest

    monkeypatch.setattr(lag, "LogEnds", Ends)
    monkeypatch.setattr(lag, "_LOOK_EVERY_S", 0.01)
    watch = LogEndsWatch(Kafka("nowhere"), [TICKETS])
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


def test_failure_that_nobody_foresaw_makes_the_ends_unknown_and_the_next_answer_known_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fails = Flag()

    def ask() -> dict[tuple[str, int], int]:
        if fails.is_set():
            raise RuntimeError("unforeseen")
        return ENDS

    with watching(monkeypatch, ask) as watch:
        until(lambda: watch.seen)
        fails.set()
        until(lambda: watch.seen is None)
        fails.clear()
        seen = until(lambda: watch.seen)

    assert seen is not None
    assert seen.ends == ENDS


def test_observation_that_is_followed_by_none_becomes_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    silent, end = Flag(), Flag()

    def ask() -> dict[tuple[str, int], int]:
        if silent.is_set():
            end.wait()
        return ENDS

    monkeypatch.setattr(lag, "KNOWN_S", 0.3)
    with watching(monkeypatch, ask) as watch:
        until(lambda: watch.seen)
        silent.set()
        until(lambda: watch.seen is None)
        end.set()


def test_observation_is_fresh_for_a_few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [100.0]
    monkeypatch.setattr(lag, "monotonic", lambda: now_s[0])
    watch = LogEndsWatch(Kafka("nowhere"), [TICKETS])
    watch.seen = Seen(1, ENDS)
    known = []

    for now_s[0] in (100.0, 100.0 + lag.KNOWN_S, 100.1 + lag.KNOWN_S):
        known.append(watch.seen is not None)

    assert known == [True, True, False]
