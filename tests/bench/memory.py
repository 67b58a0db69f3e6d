"""Whether a projector's memory grows with what it has read: audit log and ticket status over a long log that waits when it begins."""

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from statistics import median
from threading import Event as Flag
from threading import Thread

from pydantic import SecretStr

from deploy.spawn import Command
from projectors import database
from projectors.ticket_status import TICKET_STATUS
from tests.bench import floor
from tests.bench.figures import Figure
from tests.bench.lives import Lives
from tests.bench.project import most_memory_mb, own_database, preload, projected
from tests.bench.stack import child, own_stack
from tests.waiting import until

EVENTS = 2_000_000
_AT_ONCE = 50_000
_SAMPLE_EVERY_S = 0.1
_RUN_LIMIT_S = 900.0
_LIMIT_S = 30.0
_FLAT = 1.1  # what a run may hold more in its last third than in its first
_MB = 1024


def run(events: int = EVENTS) -> list[Figure]:
    """Let one process project `events` and sample the memory that it holds."""
    with own_stack() as settings, own_database(settings) as address:
        decisions = Lives().endless()
        for _ in range(0, events, _AT_ONCE):
            preload(settings, list(islice(decisions, _AT_ONCE)))
        its_own = settings.model_copy(update={"database_url": SecretStr(address)})
        command = Command((sys.executable, "-m", "tests.bench.projector", secrets.token_hex(4)), Path.cwd(), its_own.environment())
        with child(command, settings.folder / "logs" / "projector.log") as process, database.connect(address, "bench") as db:
            database.prepare(db, floor.MODELS)
            until(lambda: projected(db, TICKET_STATUS), _LIMIT_S)
            with _samples(process.pid) as held_mb:
                until(lambda: projected(db, TICKET_STATUS) >= events, _RUN_LIMIT_S)
            most_mb = most_memory_mb(process.pid)
    third = max(1, len(held_mb) // 3)
    first, last = median(held_mb[:third]), median(held_mb[-third:])
    return [
        Figure(
            bench="memory",
            what="a projector in the last third of its way, against 1.1 times the first",
            value=last,
            unit="MB",
            at_most=round(first * _FLAT, 1),
            details={"events": events, "first third": first, "last third": last, "most": most_mb, "samples": len(held_mb)},
        )
    ]


@contextmanager
def _samples(pid: int) -> Iterator[list[float]]:
    """MB that a process holds, sampled while the block runs."""
    held_mb: list[float] = []
    stop = Flag()

    def sample() -> None:
        while not stop.wait(_SAMPLE_EVERY_S):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            held_mb.append(next(int(line.split()[1]) / _MB for line in lines if line.startswith("VmRSS:")))

    thread = Thread(target=sample, name="samples", daemon=True)
    thread.start()
    try:
        yield held_mb
    finally:
        stop.set()
        thread.join(_LIMIT_S)
