"""A stack of a bench's own: durable servers on free ports in a temporary folder, and processes as production starts them."""

import http.client
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from deploy.keys import make_missing_keys
from deploy.lives import Life, end
from deploy.parts.local import LocalParts
from deploy.parts.ports import LOOPBACK, pick_free
from deploy.processes import units_of
from deploy.spawn import Command, last_line, spawn
from deploy.stack import hotline
from deploy.topics import apply_topics
from events.settings import Settings
from tests.waiting import until

_PORTS = 6  # Kafka, its controller, Postgres, the two applications, a bare one beside them
_STOP_LIMIT_S = 30
_START_LIMIT_S = 30.0
_LOOK_LIMIT_S = 2.0
_USER, _SYSTEM = 11, 12  # places after the name in /proc/PID/stat


@contextmanager
def own_stack() -> Iterator[Settings]:
    """Settings of a running Kafka (topics made) and a Postgres that syncs its log; both end with the block, however it ends."""
    home = Path(tempfile.mkdtemp(prefix="hotline-bench-"))
    leash = subprocess.Popen((sys.executable, "-m", "deploy.parts.leash", str(home)), stdin=subprocess.PIPE, start_new_session=True)
    port = pick_free(_PORTS)
    settings = Settings(home=home, kafka_port=port, postgres_port=port + 2, intake_port=port + 3, api_port=port + 4)
    parts = LocalParts(settings, durable=True)
    try:
        make_missing_keys(settings)
        parts.start()
        apply_topics(settings.kafka_access)
        yield settings
    finally:
        parts.stop()
        leash.communicate(timeout=_STOP_LIMIT_S)


def bare_port(settings: Settings) -> int:
    """Return the free port beside the query application's."""
    return settings.api_port + 1


@contextmanager
def processes(settings: Settings, *names: str) -> Iterator[None]:
    """Processes of the service, each by what stands after `hotline run`; those that serve answer before the block begins."""
    with ExitStack() as running:
        for name in names:
            (unit,) = units_of(name.split())
            running.enter_context(child(hotline(settings, "run", *unit.words), settings.folder / "logs" / f"{unit.name}.log"))
            if unit.process.port_setting:
                port = getattr(settings, unit.process.port_setting)
                until(partial(is_ready, port), _START_LIMIT_S)
        yield


def is_ready(port: int) -> bool:
    """Say whether the application on that port has all it needs."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_LOOK_LIMIT_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def child(command: Command, log: Path, cores: set[int] | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    """One process while the block runs, on `cores` alone if named; one that fell by itself is a failure, with its last line."""
    process = spawn(command, log, -1)
    if cores is not None:
        os.sched_setaffinity(process.pid, cores)
    try:
        yield process
        if process.poll() is not None:
            raise RuntimeError(f"{log.stem} fell: {last_line(log)}")
    finally:
        life = Life.of(process.pid)
        end([life] if life else [], signal.SIGTERM, _STOP_LIMIT_S)
        process.wait(_STOP_LIMIT_S)


def cpu_s(pid: int) -> float:
    """Return the seconds of processor that a process has taken, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[_USER]) + int(fields[_SYSTEM])) / os.sysconf("SC_CLK_TCK")
