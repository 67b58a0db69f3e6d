"""What the intake works with, made once at its start and handed to its routes."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from api.intake.publishing import Publishes
from api.intake.rooms import Room
from api.intake.watch import OutcomeWatch
from api.problems import Problem
from events.channels.channel import KeepsFiles, Rejected
from events.identity import Identity
from events.reference import Reference
from events.vault.pool import PoolEmpty
from events.vault.ring import KeyRing, NotYet

FACT_REQUESTS_AT_ONCE = 200  # of at most 1 MB each
LETTERS_AT_ONCE = 8  # of at most 30 MB each, and a few copies while one is taken apart
COMMANDS_AT_ONCE = 500
TRANSLATING_THREADS = 2


def _now_us() -> int:
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class Parts:
    """The intake's keys, stores and bounds."""

    reference: Reference
    ring: KeyRing
    files: KeepsFiles
    publisher: Publishes
    watch: OutcomeWatch
    clock_us: Callable[[], int] = _now_us
    facts_room: Room = field(default_factory=lambda: Room(FACT_REQUESTS_AT_ONCE))
    letters_room: Room = field(default_factory=lambda: Room(LETTERS_AT_ONCE))
    commands_room: Room = field(default_factory=lambda: Room(COMMANDS_AT_ONCE))
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(TRANSLATING_THREADS, "translate"))

    def identity(self) -> Identity:
        """Return the maker of ids; raise Problem 503 until the vault has answered once."""
        try:
            return self.ring.identity()
        except NotYet:
            raise Problem.of("part-down", part="vault", headers={"Retry-After": "1"}) from None


def rejected(found: Rejected, message: int | None = None) -> Problem:
    """Return the answer to an input that breaks its format; `message` says which of several, from 1."""
    return Problem.of("broken-rule", field=found.field or None, rule=found.rule, detail=found.detail or None, message=message)


def out_of_keys(_: PoolEmpty) -> Problem:
    """Return the answer when nothing can be sealed."""
    return Problem.of("out-of-keys", headers={"Retry-After": "1"})
