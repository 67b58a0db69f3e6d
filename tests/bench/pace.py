"""Even load from outside: things are due at fixed moments, whether or not earlier ones are answered yet."""

from collections.abc import Iterator
from threading import Event as Flag
from time import perf_counter

_NEVER = Flag()


def evenly(rate_per_s: float, seconds: float) -> Iterator[float]:
    """Yield the moment (perf_counter) at which each thing is due, then, never earlier; a late one is not waited for."""
    began = perf_counter()
    for place in range(int(rate_per_s * seconds)):
        due = began + place / rate_per_s
        wait_s = due - perf_counter()
        if wait_s > 0:
            _NEVER.wait(wait_s)
        yield due


def pause(seconds: float) -> None:
    """Let others work between two looks of a poll."""
    _NEVER.wait(seconds)
