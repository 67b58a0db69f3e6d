"""One process of this machine, known by its pid and its start, so that nobody ever signals a stranger who got the same pid.

Linux: reads /proc and signals through a pidfd. Knows nothing of what the process does.
"""

import os
import signal
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

_LOOK_S = 0.02
_STAT_STATE, _STAT_START = 0, 19  # places after the closing bracket of the name, proc(5) fields 3 and 22


@dataclass(frozen=True, slots=True)
class Life:
    """A process: its pid and its start in clock ticks since the machine's boot."""

    pid: int
    started_ticks: int

    @classmethod
    def of(cls, pid: int) -> "Life | None":
        """The process that has the pid now; none if there is none or only its corpse is left."""
        stat = _stat(pid)
        return None if stat is None or stat[_STAT_STATE] in "ZX" else cls(pid, int(stat[_STAT_START]))

    def lives(self) -> bool:
        """Whether it still runs; a zombie does not."""
        return Life.of(self.pid) == self

    def send(self, number: signal.Signals) -> bool:
        """Signal it. False if it has ended or belongs to somebody else."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.lives():
                return False
            signal.pidfd_send_signal(handle, number)
        except (ProcessLookupError, PermissionError):
            return False
        finally:
            os.close(handle)
        return True

    def wait(self, limit_s: float) -> bool:
        """Wait for its end. False if it still runs after the limit."""
        end = time.monotonic() + limit_s
        while self.lives():
            if time.monotonic() > end:
                return False
            time.sleep(_LOOK_S)
        return True

    def stored(self) -> dict[str, int]:
        """For the run file."""
        return asdict(self)


def end(lives: Iterable[Life], first: signal.Signals, limit_s: float) -> None:
    """Ask all of them to end, wait at most the limit together, then kill who is left and wait for that too (at most 5 s each)."""
    asked = [life for life in lives if life.send(first)]
    until = time.monotonic() + limit_s
    for life in asked:
        if not life.wait(max(0.0, until - time.monotonic())):
            life.send(signal.SIGKILL)
            life.wait(5.0)


def pids() -> list[int]:
    """All pids of this machine at this moment."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()
