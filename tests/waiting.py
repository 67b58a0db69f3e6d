"""Waiting in tests: on a condition, with a bound, never by the clock alone."""

from collections.abc import Callable
from threading import Event
from time import monotonic
from typing import TypeVar

T = TypeVar("T")
_LOOK_EVERY_S = 0.02


def until(condition: Callable[[], T], limit_s: float = 20.0, missing: Callable[[], str] | None = None) -> T:
    """Return the first true answer of `condition`; fail after `limit_s`, with what `missing` says then."""
    end = monotonic() + limit_s
    pause = Event()
    while True:
        if answer := condition():
            return answer
        assert monotonic() < end, f"not true within {limit_s} s: {missing() if missing else condition}"
        pause.wait(_LOOK_EVERY_S)
