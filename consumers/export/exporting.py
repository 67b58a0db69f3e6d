"""One export from its beginning to its end, or from where a run before it came to an end.

What the export is, its last record too, is fixed before the first file, and files depend on nothing but that: one that was killed and
called again has the same bytes as one made in one go. Knows neither Kafka nor the database; a source does.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple, Protocol

from consumers.export.columns import Column, Row
from consumers.export.folder import Folder, opened
from consumers.export.formats import format_named
from projectors.tokens import Token

ROWS_PER_FILE = 50_000
Plan = Mapping[str, Any]
"""What an export is, for JSON."""


class Asked(NamedTuple):
    """What somebody wants exported, and how."""

    what: str  # full name of a topic, or ticket_facts
    format: str
    since: Token | None = None  # after what it includes; None: all
    until: Token | None = None  # with what it includes; None: up to now
    rows_per_file: int = ROWS_PER_FILE

    def as_plan(self) -> dict[str, Any]:
        """Return it as a plan has it; without an end where none is named."""
        since = None if self.since is None else self.since.encode()  # an empty token is one too
        told = {"what": self.what, "format": self.format, "from": since, "rows_per_file": self.rows_per_file}
        return told if self.until is None else {**told, "until": self.until.encode()}


class Piece(NamedTuple):
    """What becomes one file."""

    name: str  # without the format's ending
    place: dict[str, Any]  # which part of the whole it is, for its line in the manifest
    rows: Iterable[Row]


class Source(Protocol):
    """Where rows come from."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of all rows."""

    def must_stay(self) -> dict[str, Any]:
        """Return what must be the same when a run goes on where another came to an end."""

    def fix_end(self, since: Token | None, until: Token | None) -> dict[str, Any]:
        """Return what a new export fixes before its first row: `until` as a token, `rows`, and what else pieces depend on."""

    def names(self, plan: Plan) -> Iterable[str]:
        """Return the names of all pieces."""

    def pieces(self, plan: Plan, made: Mapping[str, Mapping[str, Any]]) -> Iterator[Piece]:
        """Yield each piece that is not `made` (name without ending → line); the rows of one are read before the next is asked for."""


@dataclass
class Progress:
    """How far an export is."""

    rows: int = 0
    before: int = 0  # rows of files that an earlier run has made
    done: int = 0
    began_s: float = field(default_factory=monotonic)

    def count(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield `rows` and count them."""
        for row in rows:
            self.done += 1
            yield row


class Done(NamedTuple):
    """A finished export; `resumed_at`: how many rows an earlier run had made."""

    plan: Plan
    files: list[Mapping[str, Any]]
    rows: int
    resumed_at: int


def export(source: Source, asked: Asked, path: Path, progress: Progress) -> Done:
    """Export what is asked into the folder `path`, or go on with it.

    Raises MissingExtra, NoFolder, FolderInUse, NotOurs, OtherExport, FileChanged, and what the source raises.
    """
    form = format_named(asked.format)
    known = _known(source)
    with opened(path) as folder:
        if folder.plan is None:
            folder.begin({**asked.as_plan(), **source.fix_end(asked.since, asked.until), **known})
        _require(folder, source, {**asked.as_plan(), **known})
        folder.look_over()
        plan = folder.plan or {}
        _begin(progress, plan, folder)
        made = {name.removesuffix(f".{form.name}"): line for name, line in folder.files.items()}
        for piece in source.pieces(plan, made):
            rows = progress.count(piece.rows)
            folder.make(f"{piece.name}.{form.name}", piece.place, partial(form.write, asked.what, source.columns, rows))
        folder.finish()
        files = list(folder.files.values())
    return Done(plan, files, sum(line["rows"] for line in files), progress.before)


def predict(source: Source, asked: Asked, path: Path) -> Done:
    """Return what `export` would do, as far as it can be known; writes nothing, and holds no file against its digest."""
    format_named(asked.format)
    folder = Folder(path)
    if folder.plan is None:
        return Done({**asked.as_plan(), **source.fix_end(asked.since, asked.until)}, [], 0, 0)
    _require(folder, source, {**asked.as_plan(), **_known(source)})
    files = list(folder.files.values())
    made = sum(line["rows"] for line in files)
    return Done(folder.plan, files, made, made)


def _known(source: Source) -> dict[str, Any]:
    return {**source.must_stay(), "columns": _told(source.columns)}


def _require(folder: Folder, source: Source, wanted: Mapping[str, Any]) -> None:
    """Raise OtherExport or NotOurs unless the folder is that export's, and its alone."""
    folder.require(wanted)
    ending = f".{wanted['format']}"
    folder.require_ours(ending, (f"{name}{ending}" for name in source.names(folder.plan or {})))


def _begin(progress: Progress, plan: Plan, folder: Folder) -> None:
    progress.rows = plan["rows"]
    progress.before = progress.done = sum(line["rows"] for line in folder.files.values())
    progress.began_s = monotonic()


def _told(columns: Iterable[Column]) -> list[dict[str, Any]]:
    return [{"name": column.name, "kind": column.kind, "docs": list(column.docs)} for column in columns]
