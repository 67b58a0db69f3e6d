"""Gives schemas their ids, withdraws and freezes them: the only writer of `lock.json` and of the golden records.

Knows the rules of a version's life: as long as no release has it, it may be edited and is then locked anew under another id, or withdrawn
with its file; from its release on neither. Must not know what a schema may say: that is `schema_rules`, which a release must satisfy.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from events.catalogue import EVENT_TYPES
from events.wire.schema_examples import BadExample, golden_path, golden_text
from events.wire.schema_rules import check
from events.wire.schemas import FOLDER, LOCK, Lock, Locked, files_of, fingerprint, read_lock, read_schema, subject, why_not_as_locked

_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Frozen(Exception):
    """A released version was edited or its file is gone: restore it from the release's tag; a change is a new version."""


class NotReleasable(Exception):
    """The schemas are not in order or the tag won't do, so nothing was released."""


def lock_schemas(folder: Path = FOLDER, *, write: bool = True) -> list[str]:
    """Lock every version that is new or was edited before its release, under a new id; withdraw what has no file any longer.

    Writes a golden record beside each version that has an example. Returns what was done, one line each; with `write` false it only says
    so. Frozen, and nothing is written, if a released version is not what it was; BadSchemas if the lock is none or
    contradicts itself, or a file is no schema.
    """
    lock = read_lock(folder)
    if frozen := list(_broken_releases(folder, lock)):
        raise Frozen("\n".join(frozen))
    renewed, done = _renewed(folder, lock)
    done += _golden_records(folder, renewed, write=write)
    if write and renewed != lock:
        _write(folder, renewed)
    return done


def release(tag: str, folder: Path = FOLDER, *, write: bool = True) -> list[str]:
    """Freeze every version that no release has yet, as part of the release `tag`; return what was frozen, one line each. NotReleasable."""
    if not _TAG.fullmatch(tag):
        raise NotReleasable("a tag is letters, digits, full stops, hyphens and underlines, such as v1.0")
    if problems := check(folder):
        raise NotReleasable("\n".join(problems))
    lock = read_lock(folder)
    if any(entry.released == tag for versions in lock.subjects.values() for entry in versions.values()):
        raise NotReleasable(f"{tag} is released already; what came since belongs to another tag")
    fresh = [(name, number) for name, versions in lock.subjects.items() for number, entry in versions.items() if not entry.released]
    subjects = {
        name: {number: entry if entry.released else replace(entry, released=tag) for number, entry in versions.items()}
        for name, versions in lock.subjects.items()
    }
    if write and fresh:
        _write(folder, Lock(lock.last_id, subjects))
    return [f"{name} version {number}: released with {tag}, frozen from now on" for name, number in fresh]


def _broken_releases(folder: Path, lock: Lock) -> Iterator[str]:
    files = {
        (subject(topic, kind), number): path
        for kind in EVENT_TYPES
        for number, path in files_of(kind, folder).items()
        for topic in kind.topics
    }
    for name, versions in lock.subjects.items():
        for number, entry in versions.items():
            path = files.get((name, number))
            if entry.released and path is None:
                yield f"{name} version {number} was released with {entry.released} and has no file: restore it"
            elif entry.released and path and (wrong := why_not_as_locked(path, entry, read_schema(path))):
                yield wrong


def _renewed(folder: Path, lock: Lock) -> tuple[Lock, list[str]]:
    last_id, done = lock.last_id, []
    subjects: dict[str, dict[int, Locked]] = {}
    for kind in EVENT_TYPES:
        names = [subject(topic, kind) for topic in kind.topics]
        for number, path in files_of(kind, folder).items():
            before = [lock.subjects.get(name, {}).get(number) for name in names]
            now = fingerprint(read_schema(path))
            entry = next((one for one in before if one and one.fingerprint == now), None)
            if entry is None:
                last_id += 1
                entry = Locked(last_id, now)
            for name, was in zip(names, before, strict=True):
                subjects.setdefault(name, {})[number] = entry
                if was != entry:
                    in_place = f" in place of {was.id}, whose records are unknown from now on" if was else ""
                    done.append(f"{name} version {number}: id {entry.id}{in_place}")
    for name, versions in lock.subjects.items():
        for number in sorted(versions.keys() - subjects.get(name, {}).keys()):
            done.append(f"{name} version {number}: withdrawn, and id {versions[number].id} is never given again")
    return Lock(last_id, subjects), done


def _golden_records(folder: Path, lock: Lock, *, write: bool) -> Iterator[str]:
    """Write the record of each version that is not released and has an example; remove those that belong to no version."""
    kept = set()
    for kind in EVENT_TYPES:
        for number, entry in lock.subjects.get(subject(kind.topics[0], kind), {}).items():
            path = golden_path(folder, kind, number)
            kept.add(path)
            if entry.released:
                continue
            try:
                text = golden_text(folder, kind, number, read_schema(files_of(kind, folder)[number]), entry.id)
            except BadExample:
                continue  # `check` says what is wrong with it
            if not path.exists() or path.read_text("ascii", errors="replace") != text:
                yield f"{path.relative_to(folder)}: written"
                if write:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(text, "ascii")
    for path in sorted(set(folder.glob("golden/*/*.hex")) - kept):
        yield f"{path.relative_to(folder)}: removed"
        if write:
            path.unlink()


def _write(folder: Path, lock: Lock) -> None:
    subjects = {
        name: {str(number): {key: value for key, value in asdict(entry).items() if value is not None} for number, entry in versions.items()}
        for name, versions in lock.subjects.items()
    }
    text = json.dumps({"last_id": lock.last_id, "subjects": subjects}, indent=2) + "\n"
    (folder / LOCK).write_text(text, "utf-8")
