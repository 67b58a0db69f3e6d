"""The folder of one export: its files, and the manifest that says what the export is, how far it has come, and each file's digest.

A file is written aside, brought to the disk and renamed, and only then has a line in the manifest, which is replaced the same way. So
whatever has a line is whole, however the process ended, and what has none is made again. Names begin with `_` where a reader of the folder
as one table shall look past them. Knows nothing of topics, tickets or formats.
"""

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from events.crash_points import reached

MANIFEST = "_manifest.json"
_ASIDE = "_{}.part"
_NO_FOLDER = (errno.ENOTDIR, errno.ENOENT, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG)
_MOST_NAMED = 5


class FolderInUse(Exception):
    """Another process exports into this folder."""


class NoFolder(Exception):
    """There can be no folder of that path; the message says why."""


class NotOurs(Exception):
    """The folder holds what no export has put there; the message names it. Nothing was written."""


class OtherExport(Exception):
    """The folder holds another export; the message names what differs."""


class FileChanged(Exception):
    """Files are no longer what was written; the message names them."""


class Folder:
    """One folder while this process alone may write into it."""

    def __init__(self, path: Path) -> None:
        """Raise NotOurs for a manifest that is none, or for anything in a folder without one."""
        self.path = path
        self._manifest: dict[str, Any] = {}
        there = _names_in(path)
        if MANIFEST in there:
            self._manifest = _read(path / MANIFEST)
        elif foreign := [name for name in there if not _is_aside(name)]:
            raise NotOurs(f"{path} has no {MANIFEST} and is not empty, it holds {_named(foreign)}: take an empty folder")

    @property
    def plan(self) -> Mapping[str, Any] | None:
        """What the export is, as `begin` was told; None before."""
        return self._manifest.get("plan")

    @property
    def files(self) -> Mapping[str, Mapping[str, Any]]:
        """Name → line of each file that is whole."""
        return {one["name"]: one for one in self._manifest.get("files", ())}

    def require(self, wanted: Mapping[str, Any]) -> None:
        """Raise OtherExport unless the plan says all of `wanted`."""
        plan = self.plan or {}
        if other := [name for name, value in wanted.items() if plan.get(name) != value]:
            raise OtherExport(f"{self.path} holds an export with another {', another '.join(other)}: take an empty folder")

    def require_ours(self, ending: str, pieces: Iterable[str]) -> None:
        """Raise NotOurs if there are files of that ending that have no line and are none of `pieces`: readers would take them for rows."""
        unlisted = {name for name in _names_in(self.path) if name.endswith(ending)} - self.files.keys()
        made_again = {name for name in unlisted.intersection(pieces) if (self.path / name).is_file()} if unlisted else set()
        if foreign := unlisted - made_again:
            raise NotOurs(f"{self.path} holds what is not of its export: {_named(foreign)}; take it away, or take an empty folder")

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Write down what the export is; from now on a restart goes on with it."""
        self._save({"plan": plan, "complete": False, "files": []})

    def look_over(self) -> None:
        """Hold every file against its line: one that is gone will be made again, one that has changed is FileChanged."""
        there = {name: line for name, line in self.files.items() if (self.path / name).exists()}
        if changed := [name for name, line in there.items() if not self._is_whole(name, line)]:
            raise FileChanged(f"changed since they were written: {', '.join(changed)}; remove them, and they are made again")
        if len(there) < len(self.files):
            self._save({**self._manifest, "complete": False, "files": list(there.values())})

    def _is_whole(self, name: str, line: Mapping[str, Any]) -> bool:
        path = self.path / name
        return path.is_file() and _digest(path) == line["sha256"]

    def make(self, name: str, place: Mapping[str, Any], write: Callable[[BinaryIO], None]) -> None:
        """Make one file by `write`; its line says `place` too."""
        aside = self.path / _ASIDE.format(name)
        with aside.open("wb") as out:
            write(out)
            out.flush()
            os.fsync(out.fileno())
        line = {"name": name, **place, "bytes": aside.stat().st_size, "sha256": _digest(aside)}
        reached("export.file_written")
        self._rename(aside, name)
        reached("export.file_there")
        files = {**self.files, name: line}
        self._save({**self._manifest, "files": [files[one] for one in sorted(files)]})

    def finish(self) -> None:
        """Say that all of it is there."""
        self._save({**self._manifest, "complete": True})

    def _save(self, manifest: dict[str, Any]) -> None:
        aside = self.path / _ASIDE.format(MANIFEST)
        with aside.open("w", encoding="utf-8") as out:
            json.dump(manifest, out, ensure_ascii=False, indent=1)
            out.write("\n")
            out.flush()
            os.fsync(out.fileno())
        self._rename(aside, MANIFEST)
        self._manifest = manifest

    def _rename(self, aside: Path, name: str) -> None:
        aside.rename(self.path / name)
        folder = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def opened(path: Path) -> Iterator[Folder]:
    """Make the folder if it is not there, and hold it while the block runs; raise NoFolder, FolderInUse, NotOurs."""
    with _a_folder(path):
        path.mkdir(parents=True, exist_ok=True)
    held = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUse(f"another process exports into {path}") from None
        yield Folder(path)
    finally:
        os.close(held)


@contextmanager
def _a_folder(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as no:
        if no.errno not in _NO_FOLDER:
            raise
        raise NoFolder(f"{path} can be no folder: {no.strerror}") from None


def _names_in(path: Path) -> list[str]:
    """Return the names of all that is in a folder, of one that is not there none."""
    with _a_folder(path):
        try:
            return os.listdir(path)
        except FileNotFoundError:
            return []


def _is_aside(name: str) -> bool:
    before, after = _ASIDE.split("{}")
    return name.startswith(before) and name.endswith(after)


def _named(names: Collection[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(map(repr, sorted(names)[:_MOST_NAMED])) + more


def _read(path: Path) -> dict[str, Any]:
    """Return what a manifest says; raise NotOurs for one that `_save` can not have written."""
    try:
        said: Any = json.loads(path.read_text("utf-8")) if path.is_file() else None
    except (ValueError, RecursionError):
        said = None
    match said:
        case {"plan": {"until": str(), "rows": int()}, "files": [*lines]} if all(map(_is_line, lines)):
            return dict(said)
    raise NotOurs(f"{path} is no manifest of an export: take an empty folder")


def _is_line(line: object) -> bool:
    match line:
        case {"name": str(), "rows": int(), "bytes": int(), "sha256": str()}:
            return True
    return False


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
