"""Single processes beside a running stack, armed to kill or freeze themselves at a named point, cut off, or merely a second one.

They are members of the same groups as the stack's own: what falls here is taken over there. A fallen one stays down; the supervisor knows
nothing of it.
"""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from deploy.lives import Life, end
from deploy.spawn import last_line, spawn
from deploy.stack import hotline
from events.settings import Settings
from tests.waiting import until

_STOP_LIMIT_S = 20.0
FALL_LIMIT_S = 45.0  # until an armed process has come by its point; a share of a group comes within 6 s
_numbers = count(1)


@dataclass
class Single:
    """One process of ours that the supervisor does not know."""

    process: "subprocess.Popen[bytes]"
    log: Path
    life: Life | None = field(init=False)

    def __post_init__(self) -> None:
        self.life = Life.of(self.process.pid)

    def wait_killed(self, limit_s: float = FALL_LIMIT_S) -> None:
        """Wait until it has killed itself at its point; fail if it ended in another way."""
        until(lambda: self.process.poll() is not None, limit_s)
        assert self.process.returncode == -signal.SIGKILL, f"{self.log.stem} ended otherwise: {last_line(self.log)}"

    def wait_frozen(self, limit_s: float = FALL_LIMIT_S) -> None:
        """Wait until it has frozen itself at its point."""
        until(self.is_frozen, limit_s)

    def is_frozen(self) -> bool:
        """Say whether it is stopped now; fail if it has ended."""
        assert self.process.poll() is None, f"{self.log.stem} fell: {last_line(self.log)}"
        status = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return status[0] == "T"

    def wait_said(self, event: str, limit_s: float) -> None:
        """Wait until its log tells of an event; fail with the log's end otherwise."""
        with suppress(AssertionError):  # told better below
            until(lambda: self.lines(event) or self.process.poll() is not None, limit_s)
        end = self.log.read_text("utf-8", "replace").splitlines()[-5:]
        assert self.lines(event), f"{self.log.stem} did not say {event!r}: {end}"

    def send(self, number: signal.Signals) -> None:
        """Signal it."""
        assert self.life is not None, f"{self.log.stem} never lived"
        assert self.life.send(number), f"{self.log.stem} is gone"

    def lines(self, event: str, **members: str) -> list[dict[str, Any]]:
        """Return its log lines of an event with these members."""
        return said(self.log, event, **members)


@contextmanager
def beside(settings: Settings, *words: str, crash_point: str | None = None, **changed: object) -> Iterator[Single]:
    """`hotline run` with `words`, armed if `crash_point` says so, with settings `changed`; ended with the block."""
    with command_beside(settings, "run", *words, crash_point=crash_point, **changed) as single:
        yield single


@contextmanager
def command_beside(settings: Settings, *words: str, crash_point: str | None = None, **changed: object) -> Iterator[Single]:
    """A `hotline` command, armed if `crash_point` says so, with settings `changed`; ended with the block."""
    own = settings.model_copy(update={"crash_point": crash_point, **changed})
    log = settings.folder / "logs" / f"beside-{next(_numbers)}-{'-'.join(words)[:40]}.log"
    single = Single(spawn(hotline(own, *words), log, -1), log)
    try:
        yield single
    finally:
        if single.life is not None:
            single.life.send(signal.SIGCONT)
            end([single.life], signal.SIGTERM, _STOP_LIMIT_S)
        single.process.wait(_STOP_LIMIT_S)


def said(log: Path, event: str, **members: str) -> list[dict[str, Any]]:
    """Return the lines of a log that tell of an event with these members."""
    found = []
    for line in log.read_text("utf-8", "replace").splitlines() if log.exists() else ():
        if f'"{event}"' in line:
            try:
                told = json.loads(line)
            except json.JSONDecodeError:
                continue
            if told.get("event") == event and members.items() <= told.items():
                found.append(told)
    return found


def words_of_all() -> tuple[str, ...]:
    """Return what stands after `hotline run` for one process that is desk, relay and every projector: a second machine."""
    from deploy.processes import model_names

    return ("desk", "relay", *(word for model in model_names() for word in ("projector", model)))
