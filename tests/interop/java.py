"""Kafka's own Java programs out of locked jars: the console consumer, and Connect with its plugins in folders."""

import shutil
import tarfile
from pathlib import Path

from deploy.parts import java
from deploy.parts.jars import jar_folders, locked, verified
from events.settings import Settings
from tests.interop.conftest import CLIENTS

_LOCKS = Path(__file__).parent / "jars"
_SMALL = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


def jars(settings: Settings, name: str) -> list[Path]:
    """The jars of `jars/NAME.lock`, found or fetched, each as locked."""
    return verified(locked(_LOCKS / f"{name}.lock"), jar_folders(settings), settings.maven_repository)


def program(settings: Settings, main: str, *more: Path) -> tuple[str, ...]:
    """Words that start one of Kafka's programs, with `more` jars behind its own."""
    own = [*verified(locked(), jar_folders(settings), settings.maven_repository), *jars(settings, "kafka"), *more]
    return (java.executable(), *_SMALL, f"-Dlog4j2.configurationFile={settings.folder}/log4j2.xml", "-cp", java.class_path(own), main)


def make_plugins(settings: Settings, folder: Path) -> None:
    """A folder for each plugin of Connect, as its `plugin.path` wants them."""
    converter = folder / "apicurio"
    converter.mkdir(parents=True)
    for jar in jars(settings, "apicurio"):
        shutil.copy(jar, converter)
    (archive,) = jars(settings, "debezium")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")


def properties(path: str, to: Path, **replaced: str) -> Path:
    """A worked example with our addresses in it; every replaced setting stands there (`_` for `.`)."""
    lines = dict(line.split("=", 1) for line in (CLIENTS / path).read_text("utf-8").splitlines() if line and not line.startswith("#"))
    named = {name.replace("_", "."): value for name, value in replaced.items()}
    assert named.keys() <= lines.keys(), named.keys() - lines.keys()
    to.write_text("".join(f"{name}={value}\n" for name, value in {**lines, **named}.items()), "utf-8")
    return to
