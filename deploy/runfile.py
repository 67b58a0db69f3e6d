"""The run file: what a supervisor says about its stack, for `status`, `down` and those who wait for it.

Written whole, so it can be read at any moment.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from deploy.lives import Life

_NAME = "run.json"


@dataclass(slots=True)
class Entry:
    """One server or process: what it is, its present life if it has one, since when, how often it was restarted."""

    name: str
    kind: str  # part or process
    life: Life | None
    up_since: str | None
    restarts: int
    ready: bool
    stop_signal: int

    @property
    def state(self) -> str:
        """`running`, `starting` or `down`, as seen now."""
        if self.life is None or not self.life.lives():
            return "down"
        return "running" if self.ready else "starting"


@dataclass(slots=True)
class Run:
    """One running stack."""

    supervisor: Life
    ready: bool
    entries: list[Entry] = field(default_factory=list)


def write(folder: Path, run: Run) -> None:
    """Store it."""
    half = folder / f".{_NAME}"
    half.write_text(json.dumps(asdict(run)))
    half.replace(folder / _NAME)


def read(folder: Path) -> Run | None:
    """What was stored last; none if nothing was or `forget` came after."""
    try:
        stored = json.loads((folder / _NAME).read_text())
    except FileNotFoundError:
        return None
    entries = [Entry(**{**entry, "life": Life(**entry["life"]) if entry["life"] else None}) for entry in stored["entries"]]
    return Run(Life(**stored["supervisor"]), stored["ready"], entries)


def forget(folder: Path) -> None:
    """Remove it."""
    (folder / _NAME).unlink(missing_ok=True)
