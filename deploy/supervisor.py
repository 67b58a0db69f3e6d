"""Keeps children running: starts them, starts a fallen one again after a growing pause, ends them in order.

Knows neither Kafka nor Postgres nor our processes: only how each child is started, asked whether it is ready, and told to end.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import structlog

from deploy import runfile
from deploy.lives import Life, end
from deploy.problems import PartAway, Problem
from deploy.spawn import last_line

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
STEADY_AFTER_S = 30.0
STOP_LIMIT_S = 15.0
GIVE_UP_FALLS = 5  # while coming up; later nobody gives up
_LOOK_S = 0.05
_PROBE_EVERY_S = 0.1


class Interrupted(Exception):
    """We were told to end while waiting for something to start."""


def pause_s(falls: int) -> float:
    """How long to wait before the start after that many falls in a row (1, 2 …): doubles from 0.2 s, at most 5 s."""
    return float(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(falls - 1, 10)))


def falls_in_a_row(before: int, alive_s: float) -> int:
    """The number of falls in a row with the one that just happened: a child that held out for 30 s starts anew."""
    return 1 if alive_s >= STEADY_AFTER_S else before + 1


@dataclass(slots=True)
class Child:
    """One child and how it fares. `start` may raise Problem; `ready` answers within 2 s."""

    name: str
    kind: str
    start: Callable[[], "subprocess.Popen[bytes]"]
    ready: Callable[[], bool]
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    running: "subprocess.Popen[bytes] | None" = None
    life: Life | None = None
    is_ready: bool = False
    restarts: int = -1  # the first start makes it 0
    falls: int = 0
    started_at: float = 0.0
    next_start_at: float = 0.0
    next_probe_at: float = 0.0
    up_since: datetime | None = field(default=None)

    def entry(self) -> runfile.Entry:
        """Its line of the run file."""
        since = self.up_since.isoformat(timespec="seconds") if self.up_since and self.life else None
        return runfile.Entry(self.name, self.kind, self.life, since, max(0, self.restarts), self.is_ready, int(self.stop_signal))


class Supervisor:
    """Children in the order of their start. One thread; `stop` may be set by a signal or another thread."""

    def __init__(self, folder: Path, stop: threading.Event) -> None:
        self._folder = folder
        self._stop = stop
        self._children: list[Child] = []
        self._ready = False
        self._me = Life.of(os.getpid())
        self._journal = structlog.get_logger()

    def add(self, children: Iterable[Child]) -> None:
        """Take more children into care; `tend` starts them."""
        self._children.extend(children)

    def wait_ready(self, children: Sequence[Child], limit_s: float) -> None:
        """Tend all until the given ones are ready. Raises PartAway with the first that is not, Interrupted when told to end."""
        until = time.monotonic() + limit_s
        while True:
            self.tend()
            late = [child for child in children if not child.is_ready]
            if not late:
                return
            if time.monotonic() > until:
                raise PartAway(f"{late[0].name} is not ready after {limit_s:.0f} s: {last_line(late[0].log)} (see {late[0].log})")
            hopeless = next((child for child in late if child.falls >= GIVE_UP_FALLS), None)
            if hopeless is not None:
                raise PartAway(f"{hopeless.name} fell {hopeless.falls} times as it started: {last_line(hopeless.log)} (see {hopeless.log})")
            if self._stop.wait(_LOOK_S):
                raise Interrupted

    def announce(self) -> None:
        """All is up: those who wait for the stack may go on."""
        self._ready = True
        self.store()

    def watch(self) -> None:
        """Tend until told to end."""
        while not self._stop.wait(_LOOK_S):
            self.tend()

    def tend(self) -> None:
        """Look at every child once: note a fall, start what is due, ask what is not ready yet."""
        before = [child.entry() for child in self._children]
        for child in self._children:
            if child.running is not None and child.running.poll() is not None:
                self._note_fall(child, child.running.returncode)
            if child.running is None and time.monotonic() >= child.next_start_at:
                self._start(child)
            if child.running is not None and not child.is_ready and time.monotonic() >= child.next_probe_at:
                self._probe(child)
        if before != [child.entry() for child in self._children]:
            self.store()

    def end_all(self) -> None:
        """End processes in reverse order, then parts; each kind has 15 s before it is killed."""
        for kind in ("process", "part"):
            chosen = [child for child in reversed(self._children) if child.kind == kind and child.life is not None]
            by_signal = {child.stop_signal for child in chosen}
            for number in sorted(by_signal, reverse=True):
                end([child.life for child in chosen if child.life and child.stop_signal == number], number, STOP_LIMIT_S)
            for child in chosen:
                if child.running is not None:
                    child.running.wait(STOP_LIMIT_S)
                self._journal.info("ended", name=child.name)
        runfile.forget(self._folder)

    def store(self) -> None:
        """Write the run file."""
        if self._me is not None:
            runfile.write(self._folder, runfile.Run(self._me, self._ready, [child.entry() for child in self._children]))

    def _start(self, child: Child) -> None:
        child.restarts += 1
        child.started_at = time.monotonic()
        try:
            child.running = child.start()
        except Problem as problem:
            self._journal.warning("cannot start", name=child.name, problem=str(problem))
            self._pause(child)
            return
        child.life = Life.of(child.running.pid)
        child.up_since = datetime.now(UTC)
        child.next_probe_at = 0.0
        self._journal.info("started" if child.restarts == 0 else "started again", name=child.name, pid=child.running.pid)

    def _note_fall(self, child: Child, code: int) -> None:
        child.running, child.life, child.is_ready = None, None, False
        self._pause(child)
        wait_s = round(child.next_start_at - time.monotonic(), 1)
        self._journal.warning("fell", name=child.name, code=code, next_start_in_s=wait_s)

    def _pause(self, child: Child) -> None:
        child.falls = falls_in_a_row(child.falls, time.monotonic() - child.started_at)
        child.next_start_at = time.monotonic() + pause_s(child.falls)

    def _probe(self, child: Child) -> None:
        child.is_ready = child.ready()
        child.next_probe_at = time.monotonic() + _PROBE_EVERY_S
        if child.is_ready:
            self._journal.info("ready", name=child.name, after_s=round(time.monotonic() - child.started_at, 1))
