"""Crash points: nothing happens unless one is armed, then exactly there and then."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from events import crash_points
from events.crash_points import BadCrashPoint
from tests.waiting import until

_PASSES = "from events import crash_points as c; c.arm({!r}); [c.reached(n) for n in ('a', 'b', 'a', 'b')]; raise SystemExit(7)"

_RUNS_ON = """
from threading import Thread
from events import crash_points as c
c.arm("pause:a")
def beside():
    c.reached("a")
    print("ran on", flush=True)
worker = Thread(target=beside)
worker.start()
worker.join()
"""


def _ends_with(armed: str | None) -> int:
    return subprocess.run([sys.executable, "-c", _PASSES.format(armed)], check=False, timeout=20).returncode


def test_a_process_dies_at_the_armed_point_and_at_no_other() -> None:
    assert _ends_with("kill:b:2") == -signal.SIGKILL
    assert _ends_with("kill:b:3") == 7
    assert _ends_with(None) == 7


def test_the_thread_that_comes_to_the_point_is_frozen_there_while_the_main_one_only_waits() -> None:
    for _ in range(20):
        with subprocess.Popen([sys.executable, "-c", _RUNS_ON], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            until(lambda: Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
            os.set_blocking(process.stdout.fileno(), False)
            said = process.stdout.read()
            process.kill()

        assert not said


@pytest.mark.parametrize("text", ["kill", "kill:", "stop:a", "kill:a:x", ""])
def test_a_point_that_cannot_be_armed_is_refused(text: str) -> None:
    with pytest.raises(BadCrashPoint, match="HOTLINE_CRASH_POINT"):
        crash_points.arm(text)
