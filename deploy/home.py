"""The one folder of a stack: who holds it, and that only one does.

The lock is inherited by every server and process of the stack and is free only when the last of them is dead: a second Kafka on the same
folder damages its log before it is refused. Knows nothing of what the processes are.
"""

import fcntl
import os
import time
from pathlib import Path

from deploy.lives import Life, pids
from deploy.problems import HomeInUse

_LOCK = "lock"
_LOOK_S = 0.02


class Home:
    """A stack's folder, held by this process once `hold` returned."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock_fd = -1

    def hold(self) -> None:
        """Make the folder and take its lock, or raise HomeInUse."""
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _lock(handle):
            os.close(handle)
            raise HomeInUse(f"{self.folder} is in use by a running stack; `hotline status` shows it, `hotline down` stops it")
        self.lock_fd = handle

    def let_go(self) -> None:
        """Close our handle; the lock itself stays while a child holds it."""
        if self.lock_fd >= 0:
            os.close(self.lock_fd)
            self.lock_fd = -1

    def log(self, name: str) -> Path:
        """Where a process of that name writes."""
        return self.folder / "logs" / f"{name}.log"


def holders(folder: Path) -> list[Life]:
    """Every process other than this one that holds the folder's lock open, whoever started it."""
    try:
        wanted = (folder / _LOCK).stat()
    except FileNotFoundError:
        return []
    found = (Life.of(pid) for pid in pids() if pid != os.getpid() and _has_open(pid, (wanted.st_dev, wanted.st_ino)))
    return [life for life in found if life is not None]


def wait_free(folder: Path, limit_s: float) -> bool:
    """Wait until nobody holds the folder: the threads of a killed server let go a moment after it counts as dead. False after the limit."""
    try:
        handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    until = time.monotonic() + limit_s
    try:
        while not _lock(handle):
            if time.monotonic() > until:
                return False
            time.sleep(_LOOK_S)
    finally:
        os.close(handle)
    return True


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _has_open(pid: int, wanted: tuple[int, int]) -> bool:
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                seen = entry.stat()
            except OSError:  # closed meanwhile
                continue
            if (seen.st_dev, seen.st_ino) == wanted:
                return True
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # ended, or somebody else's
        return False
    return False
