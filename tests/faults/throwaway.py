"""A Kafka and a Postgres of a test's own, to be destroyed: stopped and started on the same folder, damaged in between."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.parts.local import LocalParts
from deploy.parts.ports import pick_free
from deploy.topics import apply_topics
from events.settings import Settings

_PORTS = 5
_STOP_LIMIT_S = 30


class Throwaway:
    """Both parts on one folder; may be stopped, harmed and started again."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._parts = LocalParts(settings, durable=False)

    def start(self) -> None:
        """Start both, for the first time or again."""
        self._parts = LocalParts(self.settings, durable=False)
        self._parts.start()

    def stop(self) -> None:
        """End both in order."""
        self._parts.stop()

    def child(self, name: str) -> "subprocess.Popen[bytes]":
        """Return the running server of that name."""
        return self._parts.child(name)

    def segment(self, topic: str, partition: int) -> Path:
        """Return the file in which a short log of a partition lies."""
        return self.settings.folder / "kafka" / f"{topic}-{partition}" / f"{0:020d}.log"


@contextmanager
def throwaway() -> Iterator[Throwaway]:
    """Both parts running inside the block, topics made; gone afterwards, even if pytest is killed."""
    home = Path(tempfile.mkdtemp(prefix="hotline-throwaway-"))
    leash = subprocess.Popen((sys.executable, "-m", "deploy.parts.leash", str(home)), stdin=subprocess.PIPE, start_new_session=True)
    port = pick_free(_PORTS)
    parts = Throwaway(Settings(home=home, kafka_port=port, postgres_port=port + 2, intake_port=port + 3, api_port=port + 4))
    try:
        parts.start()
        apply_topics(parts.settings.kafka_access)
        yield parts
    finally:
        parts.stop()
        leash.communicate(timeout=_STOP_LIMIT_S)
        shutil.rmtree(home, ignore_errors=True)
