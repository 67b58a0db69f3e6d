"""A whole stack of a test's own, every process apart, and ways to harm it: what falls must come back by itself."""

import http.client
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from deploy import runfile
from deploy.lag import read_lags
from deploy.parts.identity import outside_folder
from deploy.parts.ports import LOOPBACK, pick_free
from deploy.runfile import Entry
from deploy.stack import running_stack
from events.settings import Settings
from tests.waiting import until

_PORTS = 7  # Kafka, its controller, Postgres, the two applications, Kafka's side door and what stands before it
_STOP_LIMIT_S = 60
_READY_LIMIT_S, _ASK_LIMIT_S = 30.0, 5.0
SETTLE_LIMIT_S = 60.0
_LAST_WORDS = 6


@contextmanager
def whole_stack(*, side_door: bool = False) -> Iterator[Settings]:
    """All parts and processes, each projector alone, in a temporary home on free ports; gone afterwards, even if pytest is killed.

    With `side_door` Kafka has a second port, whose clients come back by the port above it.
    """
    home = Path(tempfile.mkdtemp(prefix="hotline-journey-"))
    leash = subprocess.Popen((sys.executable, "-m", "deploy.parts.leash", str(home)), stdin=subprocess.PIPE, start_new_session=True)
    port = pick_free(_PORTS)
    settings = Settings(home=home, kafka_port=port, postgres_port=port + 2, intake_port=port + 3, api_port=port + 4)
    settings = settings.model_copy(update={"kafka_side_port": port + 5}) if side_door else settings
    try:
        with running_stack(settings, "--apart"):
            until(lambda: all(is_ready(port) for port in (settings.intake_port, settings.api_port)), _READY_LIMIT_S)
            yield settings
    finally:
        leash.communicate(timeout=_STOP_LIMIT_S)
        for folder in (home, outside_folder(home)):
            shutil.rmtree(folder, ignore_errors=True)


def is_ready(port: int) -> bool:
    """Say whether the application on that port has all it needs."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_ASK_LIMIT_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def entries(settings: Settings) -> dict[str, Entry]:
    """Return every part and process by its name, as the supervisor knows it."""
    run = runfile.read(settings.folder)
    assert run is not None, "the stack is down"
    return {entry.name: entry for entry in run.entries}


def signalled(settings: Settings, name: str, number: signal.Signals) -> None:
    """Send a signal to a part or process by name."""
    life = entries(settings)[name].life
    assert life is not None, f"{name} is down"
    assert life.send(number), f"{name} could not be told"


def killed(settings: Settings, name: str) -> None:
    """Kill a part or a process as `kill -9` does, and see it dead."""
    life = entries(settings)[name].life
    assert life is not None, f"{name} is down"
    assert life.send(signal.SIGKILL), f"{name} could not be killed"
    assert life.wait(_STOP_LIMIT_S), f"{name} does not die"


@contextmanager
def held_down(settings: Settings, name: str) -> Iterator[None]:
    """Kill a part and keep it down inside the block: the supervisor sleeps; afterwards it wakes and starts it again."""
    run = runfile.read(settings.folder)
    assert run is not None, "the stack is down"
    assert run.supervisor.send(signal.SIGSTOP)
    try:
        killed(settings, name)
        yield
    finally:
        assert run.supervisor.send(signal.SIGCONT)


def last_words(settings: Settings) -> str:
    """Return the last warnings of every process, for who has waited in vain."""
    lines = {log.name: log.read_text("utf-8", "replace").splitlines() for log in (settings.folder / "logs").glob("*.log")}
    warnings = {name: [line for line in said if '"warning"' in line or '"error"' in line] for name, said in lines.items()}
    return "\n".join(f"{name}: {line}" for name, said in sorted(warnings.items()) for line in said[-_LAST_WORDS:])


def wait_settled(settings: Settings, limit_s: float = SETTLE_LIMIT_S) -> None:
    """Wait until whoever follows has read everything, the outbox is empty, and nothing has come after that."""
    until(lambda: _nobody_is_behind(settings) and _outbox_is_empty(settings) and _nobody_is_behind(settings), limit_s)


def _nobody_is_behind(settings: Settings) -> bool:
    return not any(lag.records for lag in read_lags(settings))


def _outbox_is_empty(settings: Settings) -> bool:
    with psycopg.connect(settings.database) as db:
        return db.execute("SELECT FROM outbox LIMIT 1").fetchone() is None
