"""As whom the local Postgres runs: it refuses root, and users without a name.

An ordinary user: as himself. Root, or a user that only has a number: in a user namespace that makes us look like nobody (the files stay
ours), or where that is barred, root as the user nobody with binaries and tables outside root's home.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.problems import PartAway

_NAMESPACE = ("unshare", "--user", "--map-user=65534", "--map-group=65534")
_OUTSIDE = Path("/var/tmp")  # noqa: S108 - the folder's name is fixed, its owner is checked
_PROBE_LIMIT_S = 5


@dataclass(frozen=True, slots=True)
class Identity:
    """Binaries, tables, words before each command, and the user (uid, gid) if it is another one."""

    binaries: Path
    tables: Path
    prefix: tuple[str, ...] = ()
    user: tuple[int, int] | None = None

    def make_folder(self, folder: Path) -> None:
        """A folder for tables, its user's alone."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.user:
            os.chown(folder, *self.user)


def identity_for(home: Path, wheel: Path, *, namespaces: bool = True) -> Identity:
    """The identity for the user we are. `namespaces=False` acts as on a machine that bars them."""
    binaries = wheel / "pginstall18" / "bin"
    if os.geteuid() != 0 and _has_name(os.geteuid()):
        return Identity(binaries, home / "postgres")
    if namespaces and _namespaces_work():
        return Identity(binaries, home / "postgres", prefix=_NAMESPACE)
    if os.geteuid() != 0:
        raise PartAway(f"Postgres refuses a user without a name, and user {os.geteuid()} is not in this machine's list of users")
    return _as_nobody(home, wheel)


def outside_folder(home: Path) -> Path:
    """Where nobody's binaries and tables lie, one folder for each home."""
    return _OUTSIDE / f"hotline-postgres-{hashlib.sha256(str(home).encode()).hexdigest()[:12]}"


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _namespaces_work() -> bool:
    if not shutil.which(_NAMESPACE[0]):
        return False
    try:
        return subprocess.run((*_NAMESPACE, "true"), check=False, capture_output=True, timeout=_PROBE_LIMIT_S).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _as_nobody(home: Path, wheel: Path) -> Identity:
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise PartAway(
            "Postgres refuses root, and this machine has neither user namespaces nor the user nobody: run as an ordinary user"
        ) from None
    outside = outside_folder(home)
    outside.mkdir(mode=0o755, exist_ok=True)
    if outside.stat().st_uid != 0:
        raise PartAway(f"{outside} belongs to somebody else: remove it")
    for piece in (f"{wheel.name}/pginstall18", f"{wheel.name}.libs"):  # beside each other: the binaries look for ../../…libs
        if not (outside / piece).exists():
            copy = outside / f"{piece}.part"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(wheel.parent / piece, copy)
            copy.rename(outside / piece)
    return Identity(outside / wheel.name / "pginstall18" / "bin", outside / "tables", user=(nobody.pw_uid, nobody.pw_gid))
