"""The folder of one export: its files, and the manifest that says what the export is, how far it has come, and each file's digest.

A file is written aside, brought to the disk and renamed, and only then has a line in the manifest, which is replaced the same way. So
whatever has a line is whole, however the process ended, and what has none is made again. Names begin with `_` where a reader of the folder
as one table shall look past them. Knows nothing of topics, tickets or formats.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from events.crash_points import reached

MANIFEST = "_manifest.json"
_ASIDE = "_{}.part"


class FolderInUse(Exception):
    """Another process exports into this folder."""


class OtherExport(Exception):
    """The folder holds another export; the message names what differs."""


class FileChanged(Exception):
    """Files are no longer what was written; the message names them."""


class Folder:
    """One folder while this process alone may write into it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._manifest: dict[str, Any] = {}
        if (path / MANIFEST).exists():
            self._manifest = json.loads((path / MANIFEST).read_text("utf-8"))

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

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Write down what the export is; from now on a restart goes on with it."""
        self._save({"plan": plan, "complete": False, "files": []})

    def look_over(self) -> None:
        """Hold every file against its line: one that is gone will be made again, one that has changed is FileChanged."""
        there = {name: line for name, line in self.files.items() if (self.path / name).exists()}
        if changed := [name for name, line in there.items() if _digest(self.path / name) != line["sha256"]]:
            raise FileChanged(f"changed since they were written: {', '.join(changed)}; remove them, and they are made again")
        if len(there) < len(self.files):
            self._save({**self._manifest, "complete": False, "files": list(there.values())})

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
    """Make the folder if it is not there, and hold it while the block runs; raise FolderInUse."""
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


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
