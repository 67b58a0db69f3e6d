"""How many requests of one kind may be under way: a bound that answers 429 instead of queueing without end."""

from collections.abc import Iterator
from contextlib import contextmanager

from api.problems import Problem

RETRY_AFTER_S = 1


class Room:
    """Counts those inside; belongs to one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._inside = 0

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Be inside for the time of the block; raise Problem 429 when it is full."""
        if self._inside >= self._most:
            raise Problem.of("too-many-requests", headers={"Retry-After": str(RETRY_AFTER_S)})
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
