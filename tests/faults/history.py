"""What callers were told, what was done to the stack, and how it fared: the record that the checker holds against the log.

Three outcomes: `ok` (Kafka has it, said the intake), `refused` (nobody has it, for sure), `unknown` (no answer, or one that says so).
Everything is appended to a file of JSON lines as it happens, so that a run that died can still be judged.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

OK, REFUSED, UNKNOWN = "ok", "refused", "unknown"
FACT, COMMAND = "fact", "command"


@dataclass(frozen=True, slots=True)
class Heard:
    """One request and what its caller was told. Own keys are the test's own; nothing personal is here."""

    at_s: float
    took_s: float
    kind: str  # fact or command
    own_key: str  # own id of the contact, or idempotency key
    outcome: str
    status: int  # 0: the connection broke
    channel: str = "cabinet"
    event_ids: tuple[str, ...] = ()
    places: tuple[tuple[str, int, int], ...] = ()  # where a single record lies, as the position told it
    decisions: tuple[tuple[str, int, int, int], ...] = ()  # number, version, partition, offset: what the desk's answer named


@dataclass(frozen=True, slots=True)
class Kill:
    """One thing done to the stack."""

    at_s: float
    kind: str  # kill, pause, crash, cut …
    victim: str


@dataclass(frozen=True, slots=True)
class Recovery:
    """How long after healing a new contact went all the way through again, and how long it may take (I9)."""

    at_s: float
    kind: str
    took_s: float
    bound_s: float


@dataclass(frozen=True, slots=True)
class Held:
    """How much everything held at one moment: resident bytes by process, records behind by consumer."""

    at_s: float
    when: str  # before or after
    resident_bytes: dict[str, int]
    behind: dict[str, int]


@dataclass(frozen=True, slots=True)
class Numbered:
    """A ticket's number that a reader was told for a contact."""

    at_s: float
    own_key: str
    number: str


Entry = Heard | Kill | Recovery | Held | Numbered
_KINDS: dict[str, type[Entry]] = {kind.__name__: kind for kind in (Heard, Kill, Recovery, Held, Numbered)}


@dataclass
class History:
    """Grows while a stack is harmed; shared by all threads. `path`: where it is written too."""

    seed: int = 0
    path: Path | None = None
    entries: list[Entry] = field(default_factory=list)
    counters: Counter[str] = field(default_factory=Counter)  # of rare branches: proof that the test bites
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _began_s: float = field(default_factory=monotonic)

    def now_s(self) -> float:
        """Return the seconds since the beginning."""
        return round(monotonic() - self._began_s, 3)

    def note(self, entry: Entry) -> None:
        """Keep one entry."""
        with self._lock:
            self.entries.append(entry)
            if self.path is not None:
                with self.path.open("a") as stream:
                    stream.write(json.dumps({"is": type(entry).__name__, **asdict(entry)}) + "\n")

    def harmed(self, kind: str, victim: str) -> None:
        """Note something done to the stack."""
        self.note(Kill(self.now_s(), kind, victim))

    def count(self, branch: str, times: int = 1) -> None:
        """Count a rare branch."""
        with self._lock:
            self.counters[branch] += times

    @property
    def heard(self) -> list[Heard]:
        """Return all answers so far."""
        return self._of(Heard)

    @property
    def kills(self) -> list[Kill]:
        """Return all that was done to the stack."""
        return self._of(Kill)

    @property
    def recoveries(self) -> list[Recovery]:
        """Return all recoveries."""
        return self._of(Recovery)

    @property
    def held(self) -> list[Held]:
        """Return all samples of what was held."""
        return self._of(Held)

    @property
    def numbered(self) -> list[Numbered]:
        """Return all numbers that readers were told."""
        return self._of(Numbered)

    def _of(self, kind: type[Any]) -> list[Any]:
        with self._lock:
            return [entry for entry in self.entries if isinstance(entry, kind)]


def read(path: Path) -> History:
    """Return the history in a file."""
    history = History()
    history.entries = [_entry(json.loads(line)) for line in path.read_text("utf-8").splitlines() if line]
    return history


def _entry(said: dict[str, Any]) -> Entry:
    kind = _KINDS[said.pop("is")]
    if kind is Heard:
        said |= {"event_ids": tuple(said["event_ids"])} | {name: tuple(map(tuple, said[name])) for name in ("places", "decisions")}
    return kind(**said)


def by_own_key(heard: Iterable[Heard]) -> Iterator[tuple[str, str, list[Heard]]]:
    """Yield kind, own key and all answers to it, in the order of time: a repeat is asked under the same key."""
    grouped: dict[tuple[str, str], list[Heard]] = {}
    for one in heard:
        grouped.setdefault((one.kind, one.own_key), []).append(one)
    for (kind, own_key), answers in grouped.items():
        yield kind, own_key, answers
