"""The supervisor keeps small real processes running: shells that sleep, fall, or refuse to end."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy import runfile, supervisor
from deploy.home import Home, holders
from deploy.parts.local import wait_until
from deploy.problems import HomeInUse, PartAway
from deploy.spawn import STEADY_AFTER_S, Command, Steady, spawn
from deploy.supervisor import Child, Interrupted, Supervisor, falls_in_a_row, pause_s

LIMIT_S = 10.0


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    found = Home(tmp_path / "home")
    found.hold()
    yield found
    found.let_go()


def child_of(home: Home, name: str, script: str, kind: str = "process", ready: Callable[[], bool] = lambda: True) -> Child:
    log = home.log(name)
    return Child(name, kind, lambda: spawn(Command(("sh", "-c", script), home.folder), log, home.lock_fd), ready, log)


def steady_of(home: Home, name: str, script: str) -> Child:
    log = home.log(name)
    steady = Steady(Command(("sh", "-c", script), home.folder), log, home.lock_fd)
    return Child(name, "process", steady.start, steady.is_ready, log)


def tend_until(care: Supervisor, condition: Callable[[], bool]) -> None:
    def look() -> bool:
        care.tend()
        return condition()

    wait_until(look, LIMIT_S, "the condition was not met")


def test_pause_doubles_to_a_limit_and_starts_anew_after_a_steady_life() -> None:
    assert [pause_s(falls) for falls in range(1, 8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert pause_s(10_000) == 5.0
    assert falls_in_a_row(before=4, alive_s=1.0) == 5
    assert falls_in_a_row(before=4, alive_s=30.0) == 1


def test_fallen_process_is_started_again_and_counted(home: Home) -> None:
    child = child_of(home, "sleeper", "exec sleep 60")
    care = Supervisor(home.folder, threading.Event())
    care.add([child])
    care.wait_ready([child], LIMIT_S)
    first = child.life

    assert first is not None
    first.send(signal.SIGKILL)
    tend_until(care, lambda: child.life is not None and child.life != first)

    assert child.restarts == 1
    run = runfile.read(home.folder)
    assert run is not None
    assert [(entry.name, entry.restarts, entry.state) for entry in run.entries] == [("sleeper", 1, "running")]
    care.end_all()


def test_ending_passes_the_signal_on_and_leaves_nothing_behind(home: Home) -> None:
    polite = child_of(home, "polite", "trap 'echo told; exit 0' TERM; echo up; while :; do sleep 0.02; done")
    part = child_of(home, "part", "exec sleep 60", kind="part")
    care = Supervisor(home.folder, threading.Event())
    care.add([part, polite])
    care.wait_ready([part, polite], LIMIT_S)
    tend_until(care, lambda: "up" in home.log("polite").read_text())

    care.end_all()

    assert "told" in home.log("polite").read_text()
    assert holders(home.folder) == []
    assert runfile.read(home.folder) is None


def test_process_that_refuses_to_end_is_killed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "STOP_LIMIT_S", 0.3)
    stubborn = child_of(home, "stubborn", "trap '' TERM; echo up; while :; do sleep 0.02; done")
    care = Supervisor(home.folder, threading.Event())
    care.add([stubborn])
    tend_until(care, lambda: home.log("stubborn").exists() and "up" in home.log("stubborn").read_text())

    care.end_all()

    assert stubborn.running is not None
    assert stubborn.running.returncode == -signal.SIGKILL
    # what it had started itself may live for a blink; it holds the folder until then
    wait_until(lambda: holders(home.folder) == [], LIMIT_S, "something is left")


def test_child_that_keeps_falling_as_it_starts_is_named_with_its_last_words(home: Home) -> None:
    broken = child_of(home, "broken", "echo no such table; exit 3", ready=lambda: False)
    care = Supervisor(home.folder, threading.Event())
    care.add([broken])

    with pytest.raises(PartAway, match="broken fell 5 times as it started: no such table"):
        care.wait_ready([broken], LIMIT_S)


def test_process_that_answers_nobody_is_ready_only_when_it_holds_out_after_its_first_word(home: Home) -> None:
    steady = steady_of(home, "steady", "sleep 0.2; echo started; exec sleep 60")
    care = Supervisor(home.folder, threading.Event())
    care.add([steady])

    began_s = time.monotonic()
    care.wait_ready([steady], LIMIT_S)

    assert time.monotonic() - began_s >= 0.2 + STEADY_AFTER_S
    care.end_all()


def test_process_that_falls_in_a_loop_is_never_ready_and_named(home: Home) -> None:
    falling = steady_of(home, "falling", "echo started; sleep 0.1; echo no such table; exit 3")
    care = Supervisor(home.folder, threading.Event())
    care.add([falling])

    with pytest.raises(PartAway, match="falling fell 5 times as it started: no such table"):
        care.wait_ready([falling], LIMIT_S)


def test_waiting_for_a_start_ends_when_told(home: Home) -> None:
    stop = threading.Event()
    slow = child_of(home, "slow", "exec sleep 60", ready=lambda: False)
    care = Supervisor(home.folder, stop)
    care.add([slow])
    stop.set()

    with pytest.raises(Interrupted):
        care.wait_ready([slow], LIMIT_S)

    care.end_all()
    assert holders(home.folder) == []


def test_folder_has_one_owner_and_stays_taken_while_a_child_lives(home: Home) -> None:
    sleeper = spawn(Command(("sleep", "60"), home.folder), home.log("sleeper"), home.lock_fd)
    home.let_go()

    with pytest.raises(HomeInUse):
        Home(home.folder).hold()

    assert [life.pid for life in holders(home.folder)] == [sleeper.pid]
    sleeper.kill()
    sleeper.wait(LIMIT_S)
    home.hold()


def test_log_that_grew_too_large_is_put_aside(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.spawn.LOG_LIMIT_BYTES", 10)
    log = home.log("talker")
    log.parent.mkdir(parents=True)
    log.write_text("a long line of an earlier life\n")

    child = spawn(Command(("echo", "new"), home.folder), log, home.lock_fd)

    child.wait(LIMIT_S)
    assert log.read_text() == "new\n"
    assert log.with_suffix(".log.1").read_text().startswith("a long line")


def test_a_stranger_with_the_same_pid_is_never_signalled() -> None:
    from deploy.lives import Life

    sleeper = subprocess.Popen(("sleep", "60"))
    life = Life.of(sleeper.pid)
    assert life is not None

    sent = Life(life.pid, life.started_ticks - 1).send(signal.SIGKILL)

    assert not sent
    assert sleeper.poll() is None
    sleeper.kill()
    sleeper.wait(LIMIT_S)
    assert not life.lives()
