"""Crash points: nothing happens unless one is armed, then exactly there and then."""

import signal
import subprocess
import sys

import pytest

from events import crash_points
from events.crash_points import BadCrashPoint

_PASSES = "from events import crash_points as c; c.arm({!r}); [c.reached(n) for n in ('a', 'b', 'a', 'b')]; raise SystemExit(7)"


def _ends_with(armed: str | None) -> int:
    return subprocess.run([sys.executable, "-c", _PASSES.format(armed)], check=False, timeout=20).returncode


def test_a_process_dies_at_the_armed_point_and_at_no_other() -> None:
    assert _ends_with("kill:b:2") == -signal.SIGKILL
    assert _ends_with("kill:b:3") == 7
    assert _ends_with(None) == 7


@pytest.mark.parametrize("text", ["kill", "kill:", "stop:a", "kill:a:x", ""])
def test_a_point_that_cannot_be_armed_is_refused(text: str) -> None:
    with pytest.raises(BadCrashPoint, match="HOTLINE_CRASH_POINT"):
        crash_points.arm(text)
