"""Fixtures for strangers' programs: a Kafka, a Postgres and a registry of their own with everything laid out, and an environment with
stock packages. Made once; the environment stays in `.hotline-interop` for the next run.
"""

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.parts.local import LocalParts
from deploy.parts.ports import pick_free
from deploy.topics import apply_topics
from events.settings import Settings
from tests.interop import laid
from tests.interop.laid import Laid

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "deploy" / "clients"
_LOCK = Path(__file__).parent / "requirements.lock"
_PORTS = 7  # Kafka, its controller, Postgres, the two applications, the registry and its health
_INSTALL_LIMIT_S = 600
_STOP_LIMIT_S = 30


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this folder out of every run that does not name it."""
    here = Path(__file__).parent
    return None if any(Path(word.partition("::")[0]).resolve().is_relative_to(here) for word in config.args) else True


@pytest.fixture(scope="session")
def shop() -> Iterator[Settings]:
    """Settings of the running parts, the registry among them, with records on every topic."""
    home = Path(tempfile.mkdtemp(prefix="hotline-interop-"))
    leash = subprocess.Popen((sys.executable, "-m", "deploy.parts.leash", str(home)), stdin=subprocess.PIPE, start_new_session=True)
    port = pick_free(_PORTS)
    settings = Settings(home=home, kafka_port=port, postgres_port=port + 2, intake_port=port + 3, api_port=port + 4, registry_port=port + 5)
    parts = LocalParts(settings, durable=False, registry=True)
    try:
        parts.start()
        apply_topics(settings.kafka_access)
        laid.lay(settings)
        yield settings
    finally:
        parts.stop()
        leash.communicate(timeout=_STOP_LIMIT_S)


@pytest.fixture(scope="session")
def records(shop: Settings) -> dict[str, list[Laid]]:
    """Topic → what lies there, as an independent reader decodes it with the files of `schemas/`."""
    return laid.read_all(shop)


@pytest.fixture(scope="session")
def stock_python() -> Path:
    """A Python that has what strangers have and nothing of ours; packages by hash."""
    folder = ROOT / ".hotline-interop" / hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:12]
    python = folder / "bin" / "python"
    if not (folder / "whole").exists():
        subprocess.run((sys.executable, "-m", "venv", "--clear", str(folder)), check=True, capture_output=True, timeout=_INSTALL_LIMIT_S)
        words = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", str(_LOCK))
        subprocess.run((str(python), *words), check=True, capture_output=True, timeout=_INSTALL_LIMIT_S)
        (folder / "whole").touch()
    return python
