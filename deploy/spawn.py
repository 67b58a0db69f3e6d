"""Starts one child: its own session, its own log file, the folder's lock inherited. Knows nothing of what the child is."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LOG_LIMIT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Command:
    """What to start: words, and where they differ from ours the folder, the environment and the user."""

    words: Sequence[str]
    folder: Path
    environment: Mapping[str, str] | None = None
    user: tuple[int, int] | None = field(default=None)  # uid, gid


def spawn(command: Command, log: Path, lock_fd: int) -> subprocess.Popen[bytes]:
    """Start it. A log above its limit is put aside first (one older file is kept)."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.1"))
    uid, gid = command.user or (None, None)
    with log.open("ab") as out:
        return subprocess.Popen(
            list(command.words),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=command.folder,
            env=None if command.environment is None else dict(command.environment),
            start_new_session=True,
            pass_fds=(lock_fd,) if lock_fd >= 0 else (),
            user=uid,
            group=gid,
            extra_groups=[] if command.user else None,
        )


def last_line(log: Path) -> str:
    """The last line of a log, cut to 300 characters; for a message about a child that fell."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - 4096))
            lines = [line for line in stream.read().decode(errors="replace").splitlines() if line.strip()]
    except FileNotFoundError:
        return ""
    return lines[-1][:300] if lines else ""
