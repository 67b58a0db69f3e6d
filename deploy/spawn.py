"""Starts one child: its own session, its own log file, the folder's lock inherited. Knows nothing of what the child is."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LOG_LIMIT_BYTES = 64 * 1024 * 1024
STEADY_AFTER_S = 1.0


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


class Steady:
    """A process that answers nobody: it counts as ready when it has held out 1 s after its first word in the log.

    The first word comes when everything is loaded, which takes longer on a busy machine; what is wrong with its settings or its part shows
    right after that.
    """

    def __init__(self, command: Command, log: Path, lock_fd: int) -> None:
        self._command, self._log, self._lock_fd = command, log, lock_fd
        self._silent_bytes = 0
        self._spoke_at: float | None = None

    def start(self) -> subprocess.Popen[bytes]:
        """Start it, for the first time or again."""
        self._spoke_at = None
        running = spawn(self._command, self._log, self._lock_fd)
        self._silent_bytes = self._log.stat().st_size
        return running

    def is_ready(self) -> bool:
        """Whether it has held out; whether it still runs is the supervisor's to see."""
        now = time.monotonic()
        if self._spoke_at is None and self._log.stat().st_size > self._silent_bytes:
            self._spoke_at = now
        return self._spoke_at is not None and now - self._spoke_at >= STEADY_AFTER_S


def last_line(log: Path) -> str:
    """The last line of a log, cut to 300 characters; for a message about a child that fell."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - 4096))
            lines = [line for line in stream.read().decode(errors="replace").splitlines() if line.strip()]
    except FileNotFoundError:
        return ""
    return lines[-1][:300] if lines else ""
