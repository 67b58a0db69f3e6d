"""The clients of a Kafka as a file lists them: read, and refused with the entry and the rule where they contradict the contract.

Knows the kinds and the topics; must not know what rules come of them.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.acls.kinds import DATA_TEAM, KINDS, Kind
from deploy.problems import WrongUsage
from events.wire import schemas

FILE = Path(__file__).with_name("clients.toml")
_OURS = "hotline"  # a team of this name would have our groups
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Client:
    """One client: the name it proves, its kind, and for a data team the topics it reads."""

    name: str
    kind: Kind
    topics: tuple[str, ...] = ()

    @property
    def principal(self) -> str:
        """Its name as Kafka's rules have it."""
        return f"User:{self.name}"


def read_clients(path: Path = FILE) -> tuple[Client, ...]:
    """Return the clients of a file; raise WrongUsage with everything that is wrong in it."""
    try:
        told = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise WrongUsage(f"{path}: {wrong}") from None
    entries = told.get("clients")
    if not isinstance(entries, dict) or set(told) != {"clients"}:
        raise WrongUsage(f"{path}: one table `clients` is wanted, nothing else")
    if problems := [f"{path}: {name}: {problem}" for name, entry in entries.items() for problem in _problems(name, entry)]:
        raise WrongUsage("; ".join(problems))
    kinds = {kind.name: kind for kind in KINDS}
    return tuple(Client(name, kinds[entry["kind"]], tuple(entry.get("topics", ()))) for name, entry in entries.items())


def _problems(name: str, entry: Any) -> Iterator[str]:
    if not isinstance(entry, dict) or not entry.keys() <= {"kind", "topics"}:
        yield "`kind` and `topics` are all that may be said"
        return
    if not _NAME.fullmatch(name):
        yield "a name is lower-case letters, digits and hyphens"
    kind, topics = entry.get("kind"), entry.get("topics", [])
    if kind not in [known.name for known in KINDS]:
        yield f"kind {kind!r} is not one of {', '.join(known.name for known in KINDS)}"
    if not isinstance(topics, list) or not all(isinstance(topic, str) for topic in topics):
        yield "topics is a list of names"
    elif kind == DATA_TEAM:
        yield from _problems_of_team(name, topics, schemas.topics())
    elif topics:
        yield f"only a {DATA_TEAM} chooses its topics; those of {kind} stand in topics.toml"


def _problems_of_team(name: str, topics: list[str], known: Mapping[str, schemas.Topic]) -> Iterator[str]:
    if name == _OURS:
        yield "that name is ours"
    if not topics:
        yield f"a {DATA_TEAM} must name its topics"
    yield from (f"there is no topic {topic}" for topic in topics if topic not in known)
    yield from (f"{topic} is not open to data teams" for topic in topics if topic in known and DATA_TEAM not in known[topic].read_by)
