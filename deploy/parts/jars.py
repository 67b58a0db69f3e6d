"""Jars and archives of local parts: found or fetched by their Maven coordinates, and used only if byte for byte what the lock says.

Fetched into a folder aside and moved when whole, so that neither a cut connection nor a second stack leaves half a jar. Names no host:
Maven's usual repository, or the one in the settings.
"""

import hashlib
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from deploy.problems import JarsRefused, PartAway
from events.settings import Settings, trust_system_certificates

LOCK = Path(__file__).parent.parent / "jars.lock"
SIZE_MB = 45  # all of Kafka's together; README.md names the same figure
_FETCHERS = 6
_FETCH_TIMEOUT_S = 60
_TRIES = 2


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock."""

    group: str
    artifact: str
    version: str
    sha256: str
    classifier: str = ""
    kind: str = "jar"

    @property
    def path(self) -> str:
        """Its place below a Maven folder."""
        name = "-".join(filter(None, (self.artifact, self.version, self.classifier)))
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{name}.{self.kind}"


def locked(lock: Path = LOCK) -> list[Jar]:
    """The jars of the lock in its order, which is the order of the class path."""
    found = []
    for line in lock.read_text().splitlines():
        coordinate, sha256 = line.split()
        group, artifact, version, classifier, kind = coordinate.split(":")
        found.append(Jar(group, artifact, version, sha256, classifier, kind))
    return found


def verified(jars: list[Jar], folders: list[Path], repository: str | None) -> list[Path]:
    """Paths of all jars, each compared with the lock now. Missing ones are fetched into the first folder that can be written.

    Raises JarsRefused for a file that differs (delete it to fetch it again), PartAway if one cannot be fetched.
    """
    places = {jar: _find(jar, folders) for jar in jars}
    missing = [jar for jar, place in places.items() if place is None]
    if missing:
        folder = _writable(folders)
        places.update(zip(missing, _fetch_all(missing, folder, repository), strict=True))
    paths = [(jar, place) for jar, place in places.items() if place is not None]
    wrong = [place for jar, place in paths if _sha256(place) != jar.sha256]
    if wrong:
        raise JarsRefused(f"refused, not what the lock of jars says; delete to fetch again: {', '.join(map(str, wrong))}")
    return [place for _, place in paths]


def jar_folders(settings: Settings) -> list[Path]:
    """Where jars are looked for, and kept in the first that can be written."""
    if settings.jars:
        return [settings.jars]
    try:
        return [Path.home() / ".m2" / "repository", settings.folder / "jars"]
    except RuntimeError:  # neither HOME nor an entry in the list of users
        return [settings.folder / "jars"]


def _find(jar: Jar, folders: list[Path]) -> Path | None:
    return next((folder / jar.path for folder in folders if (folder / jar.path).is_file()), None)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _writable(folders: list[Path]) -> Path:
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    raise PartAway(f"no folder for jars can be written: tried {', '.join(map(str, folders))}; set HOTLINE_JARS to one that can")


def _fetch_all(jars: list[Jar], folder: Path, repository: str | None) -> list[Path]:
    trust_system_certificates()
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as aside, ThreadPoolExecutor(_FETCHERS) as pool:
        return list(pool.map(lambda jar: _fetch(jar, Path(aside), folder, repository), jars))


def _fetch(jar: Jar, aside: Path, folder: Path, repository: str | None) -> Path:
    import requests
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=aside, timeout=_FETCH_TIMEOUT_S, remote_repos={"settings": repository} if repository else None)
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact(jar.classifier, jar.kind)
    for left in reversed(range(_TRIES)):
        try:
            fetched = Path(artifact.resolve())
            break
        except (
            requests.RequestException,
            RuntimeError,
            AssertionError,
        ) as problem:  # RuntimeError: not there; AssertionError: half of it is
            (aside / jar.path).unlink(missing_ok=True)
            if not left:
                raise PartAway(
                    f"cannot fetch {jar.artifact} {jar.version} ({type(problem).__name__}): is Maven's repository reachable from here? "
                    "HOTLINE_MAVEN_REPOSITORY names another one"
                ) from None
    if _sha256(fetched) != jar.sha256:
        raise JarsRefused(f"refused: {jar.artifact} {jar.version} as fetched is not what the lock of jars says")
    target = folder / jar.path
    target.parent.mkdir(parents=True, exist_ok=True)
    return fetched.replace(target)
