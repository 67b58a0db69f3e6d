"""A disk of a few megabytes for one server's folder, that can be filled and freed again: a tmpfs in a mount namespace of its own.

Needs user namespaces, which root and ordinary users have on most machines; `works` says whether this one lets us.
"""

import shutil
import subprocess
from pathlib import Path

from deploy.parts.part import Part
from deploy.spawn import Command, spawn
from tests.waiting import until

_LIMIT_S, _START_LIMIT_S = 30.0, 60.0
_ENTER = ("nsenter", "--preserve-credentials", "--user", "--mount")
_UNSHARE = ("unshare", "--user", "--map-root-user", "--mount")
_MOUNT = """
set -e
cp -a "$1" "$1.kept"
mount -t tmpfs -o "size=$2m,mode=0700" none "$1"
cp -a --sparse=always "$1.kept/." "$1/"
rm -r "$1.kept"
echo mounted
exec cat
"""


def works() -> bool:
    """Say whether this machine lets us mount a disk of our own."""
    if not all(shutil.which(word) for word in ("unshare", "nsenter")):
        return False
    return (
        subprocess.run((*_UNSHARE, "mount", "-t", "tmpfs", "none", "/mnt"), check=False, capture_output=True, timeout=_LIMIT_S).returncode
        == 0
    )


class SmallDisk:
    """Holds a copy of what lies in `folder`, seen under that name by those who are started on it. A context manager."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self._folder, self._megabytes = folder, megabytes

    def __enter__(self) -> "SmallDisk":
        words = (*_UNSHARE, "sh", "-c", _MOUNT, "sh", str(self._folder), str(self._megabytes))
        self._holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout is not None, "asked for"
        assert self._holder.stdout.readline().strip() == "mounted", "the disk was not mounted"
        return self

    def __exit__(self, *_: object) -> None:
        self._holder.communicate(timeout=_LIMIT_S)

    @property
    def prefix(self) -> tuple[str, ...]:
        """Words before a command that is to see this disk."""
        return (*_ENTER, "--target", str(self._holder.pid))

    def fill(self, leaving_kb: int) -> None:
        """Take all room but so many kilobytes."""
        script = 'dd if=/dev/zero of="$1/ballast" bs=64k 2>/dev/null; truncate -s -"$2"K "$1/ballast"'
        self._run("sh", "-c", script, "sh", str(self._folder), str(leaving_kb))

    def free(self) -> None:
        """Give the room back."""
        self._run("rm", str(self._folder / "ballast"))

    def _run(self, *words: str) -> None:
        subprocess.run((*self.prefix, *words), check=True, timeout=_LIMIT_S)


class OnDisk:
    """A server started on a small disk by the test itself, and started again when it fell."""

    def __init__(self, part: Part, disk: SmallDisk, log: Path) -> None:
        self._part, self._disk, self._log = part, disk, log
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = self._part.command()
        self._child = spawn(Command((*self._disk.prefix, *command.words), command.folder, command.environment, command.user), self._log, -1)
        until(self._part.answers, _START_LIMIT_S)

    def start_if_it_fell(self) -> bool:
        """Start it again if it has ended by itself or does not answer; return whether it had."""
        assert self._child is not None, "it was started"
        if self._child.poll() is None and self._part.answers():
            return False
        self.stop()
        self.start()
        return True

    def stop(self) -> None:
        """End it in order, or at once where it does not end."""
        if self._child is None or self._child.poll() is not None:
            return
        self._child.send_signal(self._part.stop_signal)
        try:
            self._child.wait(_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait(_LIMIT_S)
