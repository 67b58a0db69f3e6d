"""Named points at which a test may kill or freeze a process of ours, to show that nothing is lost there.

Nothing happens at a point unless the setting HOTLINE_CRASH_POINT arms it: `kill:NAME[:NTH]` or `pause:NAME[:NTH]`, the n-th time that the
process comes by (default: the first). Knows nothing of what the points stand for.
"""

import signal
from dataclasses import dataclass
from threading import get_ident

_SIGNALS = {"kill": signal.SIGKILL, "pause": signal.SIGSTOP}


class BadCrashPoint(Exception):
    """The setting names no point, or not what to do there."""


@dataclass(slots=True)
class _Armed:
    name: str
    number: signal.Signals
    passes_left: int


_armed: _Armed | None = None


def arm(text: str | None) -> None:
    """Arm the one point that `text` tells; None disarms. Raises BadCrashPoint."""
    global _armed  # noqa: PLW0603 - one process has one point
    if text is None:
        _armed = None
        return
    action, _, rest = text.partition(":")
    name, _, nth = rest.partition(":")
    if action not in _SIGNALS or not name or not (nth or "1").isdecimal():
        raise BadCrashPoint("HOTLINE_CRASH_POINT is kill:NAME[:NTH] or pause:NAME[:NTH]")
    _armed = _Armed(name, _SIGNALS[action], int(nth or "1"))


def reached(name: str) -> None:
    """Say that the process has come to the point `name`; if it is armed, that may be the end."""
    if _armed is None or _armed.name != name:
        return
    _armed.passes_left -= 1
    if _armed.passes_left == 0:
        signal.pthread_kill(get_ident(), _armed.number)  # to the process, any thread may take it, and this one would run on meanwhile
