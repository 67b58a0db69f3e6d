"""A whole stack on this machine: brought up in order under the supervisor, in the foreground or aside; brought down by whoever asks.

Order: folder, keys, free ports, parts, topics and databases, processes. Down is the reverse, and works without the supervisor too.
"""

import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from deploy import runfile
from deploy.home import Home, holders, wait_free
from deploy.keys import make_missing_keys
from deploy.lives import Life, end
from deploy.parts.identity import outside_folder
from deploy.parts.local import local_parts, local_registry, wait_until
from deploy.parts.part import Part
from deploy.parts.ports import require_free
from deploy.probes import require_foreign_parts, serves
from deploy.problems import SAID_BY_US, HomeInUse, PartAway
from deploy.processes import Unit
from deploy.spawn import Command, Steady, last_line, spawn
from deploy.supervisor import Child, Interrupted, Supervisor
from events.settings import Settings

PARTS_LIMIT_S = 60.0
PROCESSES_LIMIT_S = 60.0
DETACHED_LIMIT_S = 600.0  # the first time, Kafka's jars are fetched, and the registry's archive
DOWN_LIMIT_S = 60.0
_LEFTOVERS_LIMIT_S = 10.0
_SOURCE = Path(__file__).parent.parent

# What a stack leaves in its folder; `down --wipe` removes these and nothing else. `jars` stays: it is a cache, no data.
CONTENT: tuple[str, ...] = (
    "kafka", "kafka-1", "kafka-2", "kafka-3", "postgres", "postgres.new", "files", "logs", "kafka.properties", "kafka-1.properties",
    "kafka-2.properties", "kafka-3.properties", "log4j2.xml", "postgres.pass", "registry.properties",
    "master.key", "token.key", "token.pub", "run.json", "lock",
)  # fmt: skip


def run_stack(settings: Settings, units: Sequence[Unit], stop: threading.Event, *, registry: bool = False) -> None:
    """Bring all up, the schema registry if asked for, and keep it up until `stop` is set or SIGTERM or SIGINT comes; then end all.

    Raises HomeInUse, PortTaken, PartAway, JarsRefused, Unwilling; nothing is left running then.
    """
    home = Home(settings.folder)
    clear_leftovers(settings.folder)
    home.hold()
    supervisor = Supervisor(settings.folder, stop)
    supervisor.store()  # from here on `down` finds us
    try:
        later, databases = local_registry(settings) if registry else ([], [])
        parts = local_parts(settings, more_databases=databases)
        _prepare(settings, [*parts, *later], units)
        with _told_by_signals(stop):
            _bring_up(settings, parts, later, units, supervisor, home)
            supervisor.watch()
    except Interrupted:
        pass
    finally:
        supervisor.end_all()
        home.let_go()


def _prepare(settings: Settings, parts: Sequence[Part], units: Sequence[Unit]) -> None:
    make_missing_keys(settings)
    for part in parts:
        part.check_ports()
    for unit in units:
        if unit.process.port_setting:
            require_free(getattr(settings, unit.process.port_setting), unit.name, f"HOTLINE_{unit.process.port_setting.upper()}")
    for part in parts:
        part.prepare()


def _bring_up(
    settings: Settings, parts: Sequence[Part], later: Sequence[Part], units: Sequence[Unit], supervisor: Supervisor, home: Home
) -> None:
    from deploy.doctor.examination import BEFORE_A_STACK, require_sound
    from deploy.topics import apply_topics

    servers = [_part_child(part, home) for part in parts]
    supervisor.add(servers)
    supervisor.wait_ready(servers, PARTS_LIMIT_S)
    for part in parts:
        part.settle()
    require_foreign_parts(settings)
    apply_topics(settings.kafka_access)
    require_sound(settings, BEFORE_A_STACK)
    others = [*(_part_child(part, home) for part in later), *(_process_child(unit, settings, home) for unit in units)]
    supervisor.add(others)
    supervisor.wait_ready(others, PROCESSES_LIMIT_S)
    for part in later:
        part.settle()
    supervisor.announce()


def _part_child(part: Part, home: Home) -> Child:
    log = home.log(part.name)

    def start() -> "subprocess.Popen[bytes]":
        part.prepare()
        return spawn(part.command(), log, home.lock_fd)

    return Child(part.name, "part", start, part.answers, log, part.stop_signal)


def _process_child(unit: Unit, settings: Settings, home: Home) -> Child:
    log = home.log(unit.name)
    command = hotline(settings, "run", *unit.words)
    port = getattr(settings, unit.process.port_setting) if unit.process.port_setting else None
    if port:
        return Child(unit.name, "process", partial(spawn, command, log, home.lock_fd), partial(serves, port), log)
    steady = Steady(command, log, home.lock_fd)
    return Child(unit.name, "process", steady.start, steady.is_ready, log)


def hotline(settings: Settings, *words: str) -> Command:
    """The `hotline` command with these settings, as a child."""
    return Command((sys.executable, "-m", "deploy.hotline", *words), _SOURCE, settings.environment())


@contextmanager
def _told_by_signals(stop: threading.Event) -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, lambda _number, _frame: stop.set()) for number in numbers}
    try:
        yield
    finally:
        if not stop.is_set():  # while ending, a second signal must not cut us short
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def running_stack(settings: Settings, *options: str) -> Iterator[None]:
    """`hotline up` with the given options in a process of its own, all ready inside the block, all ended after it."""
    aside = start_detached(settings, *options)
    try:
        yield
    finally:
        stop_stack(settings.folder)
        aside.wait(DOWN_LIMIT_S)


def start_detached(settings: Settings, *options: str) -> "subprocess.Popen[bytes]":
    """`hotline up` with the given options, aside; returns when all is ready. Raises PartAway with the reason if it is not."""
    settings.folder.mkdir(parents=True, exist_ok=True)
    log = Home(settings.folder).log("supervisor")
    aside = spawn(hotline(settings, "up", "--log-json", *options), log, -1)

    def is_up() -> bool:
        if aside.poll() is not None:
            said = last_line(log)
            if said.startswith(SAID_BY_US):
                raise PartAway(said.removeprefix(SAID_BY_US))
            raise PartAway(f"the stack did not come up (see {log})" if said else f"the stack could not even write {log}: is the disk full?")
        run = runfile.read(settings.folder)
        return run is not None and run.ready and run.supervisor.pid == aside.pid

    try:
        wait_until(is_up, DETACHED_LIMIT_S, f"the stack is not up after {DETACHED_LIMIT_S:.0f} s (see {log})")
    except BaseException:
        life = Life.of(aside.pid)
        end([life] if life else [], signal.SIGTERM, DOWN_LIMIT_S)
        aside.wait(DOWN_LIMIT_S)
        raise
    return aside


def stop_stack(folder: Path) -> list[str]:
    """End the stack of the folder that a supervisor started, be it dead or alive. Returns the names of what was ended.

    Raises HomeInUse if the folder is held by something without a run file: servers that a test or a script started are not ours to end.
    """
    run = runfile.read(folder)
    if run is None:
        strangers = holders(folder)
        if strangers:
            pids = ", ".join(str(life.pid) for life in strangers)
            raise HomeInUse(f"{folder} is held by processes that `hotline up` did not start (pids {pids}); end them where they started")
        return []
    names = [entry.name for entry in run.entries if entry.life and entry.life.lives()]
    end([run.supervisor], signal.SIGTERM, DOWN_LIMIT_S)
    clear_leftovers(folder)
    return names


def clear_leftovers(folder: Path) -> None:
    """End what a dead supervisor left: what its run file names, then whatever else holds the folder. Raises HomeInUse if it lives."""
    run = runfile.read(folder)
    if run is None:
        return
    if run.supervisor.lives():
        raise HomeInUse(f"{folder} is in use by a running stack; `hotline status` shows it, `hotline down` stops it")
    for kind in ("process", "part"):
        for number in {entry.stop_signal for entry in run.entries}:
            chosen = [entry for entry in run.entries if entry.kind == kind and entry.stop_signal == number]
            end([entry.life for entry in chosen if entry.life], signal.Signals(number), _LEFTOVERS_LIMIT_S)
    _end_holders(folder)
    runfile.forget(folder)


def _end_holders(folder: Path) -> None:
    end(holders(folder), signal.SIGTERM, _LEFTOVERS_LIMIT_S)
    if not wait_free(folder, _LEFTOVERS_LIMIT_S):
        raise HomeInUse(f"{folder} is still held {_LEFTOVERS_LIMIT_S:.0f} s after all its processes were told to end")


def wipe(folder: Path, *, only_show: bool) -> list[Path]:
    """Remove what a stack keeps in its folder, and the folder if nothing else is in it. Returns what goes, or would go."""
    doomed = [folder / name for name in CONTENT if (folder / name).exists()]
    doomed += [path for path in (outside_folder(folder),) if path.exists()]
    if only_show:
        return doomed
    for path in doomed:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    return doomed
