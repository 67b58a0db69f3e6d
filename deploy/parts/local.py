"""Which parts are started here: those that no setting replaces.

`LocalParts` starts and stops them for tests; in a stack the supervisor does.
"""

import subprocess
import time
from collections.abc import Callable, Sequence

from deploy.home import Home
from deploy.lives import Life, end
from deploy.parts.part import Part
from deploy.problems import PartAway
from deploy.spawn import last_line, spawn
from events.settings import Settings

START_LIMIT_S = 60.0
STOP_LIMIT_S = 20.0
_LOOK_S = 0.05


def local_parts(settings: Settings, *, durable: bool = True, more_databases: Sequence[str] = ()) -> list[Part]:
    """Parts to start here, in the order of their start. Raises Unwilling where the home holds another number of brokers."""
    parts: list[Part] = []
    if settings.database_url is None or settings.vault_url is None:
        from deploy.parts.postgres import LocalPostgres

        parts.append(LocalPostgres(settings, durable=durable, more_databases=more_databases))
    if settings.kafka is None:
        from deploy.parts.kafka import local_brokers, require_same_number

        require_same_number(settings)
        parts += local_brokers(settings)
    return parts


def local_registry(settings: Settings) -> tuple[list[Part], list[str]]:
    """The schema registry, a part that starts once the others stand, and the database that it needs. Raises Unwilling."""
    from deploy.parts.registry import DATABASE, LocalRegistry

    return [LocalRegistry(settings)], [DATABASE]


class LocalParts:
    """Parts held by this process: all start together, then the registry if asked for; `stop` ends them in reverse order."""

    def __init__(self, settings: Settings, *, durable: bool = True, registry: bool = False) -> None:
        self._home = Home(settings.folder)
        self._later, databases = local_registry(settings) if registry else ([], [])
        self._parts = local_parts(settings, durable=durable, more_databases=databases)
        self._running: list[tuple[Part, subprocess.Popen[bytes]]] = []

    def start(self) -> None:
        """Start all and return when each answers. Raises PartAway, PortTaken, HomeInUse; then nothing is left running."""
        self._home.hold()
        try:
            for part in (*self._parts, *self._later):
                part.check_ports()
            self._start(self._parts)
            self._start(self._later)
        except BaseException:
            self.stop()
            raise

    def _start(self, parts: Sequence[Part]) -> None:
        started = []
        for part in parts:
            part.prepare()
            started.append((part, spawn(part.command(), self._home.log(part.name), self._home.lock_fd)))
            self._running.append(started[-1])
        for part, child in started:
            self._wait(part, child)
            part.settle()

    def stop(self) -> None:
        """End all, at most 20 s each, and let the folder go."""
        while self._running:
            part, child = self._running.pop()
            life = Life.of(child.pid)
            end([life] if life else [], part.stop_signal, STOP_LIMIT_S)
            child.wait(STOP_LIMIT_S)
        self._home.let_go()

    def child(self, name: str) -> subprocess.Popen[bytes]:
        """The running server of that name, for tests that harm it."""
        return next(child for part, child in self._running if part.name == name)

    def _wait(self, part: Part, child: subprocess.Popen[bytes]) -> None:
        log = self._home.log(part.name)

        def check() -> bool:
            if child.poll() is not None:
                raise PartAway(f"{part.name} ended as it started: {last_line(log)} (see {log})")
            return part.answers()

        wait_until(check, START_LIMIT_S, f"{part.name} does not answer after {START_LIMIT_S:.0f} s (see {log})")


def wait_until(condition: Callable[[], bool], limit_s: float, otherwise: str) -> None:
    """Ask the condition until it holds. Raises PartAway with the given line after the limit."""
    until = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > until:
            raise PartAway(otherwise)
        time.sleep(_LOOK_S)
