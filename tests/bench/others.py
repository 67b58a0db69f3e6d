"""How much of the machine others took while a bench ran: a figure measured in a crowd says little."""

import os
import resource
from collections.abc import Callable
from pathlib import Path

_IDLE = (3, 4)  # places of idle and iowait among the numbers of /proc/stat
_KINDS = 8  # user, nice, system, idle, iowait, irq, softirq, steal; what follows is counted in these


def watch() -> Callable[[], float]:
    """Begin; the answer returns the share of all cores, 0 to 1, that was neither idle nor ours. Ask when our children have ended."""
    all_before, busy_before = _machine_s()
    own_before = _own_s()

    def share() -> float:
        all_s, busy_s = _machine_s()
        taken_s = busy_s - busy_before - (_own_s() - own_before)
        return max(0.0, taken_s / max(all_s - all_before, 1e-6))

    return share


def _machine_s() -> tuple[float, float]:
    """Return the seconds of all cores since the machine began, and those they were busy."""
    line = Path("/proc/stat").read_text().partition("\n")[0]
    seconds = [int(number) / os.sysconf("SC_CLK_TCK") for number in line.split()[1 : _KINDS + 1]]
    return sum(seconds), sum(seconds) - sum(seconds[place] for place in _IDLE)


def _own_s() -> float:
    """Return the seconds that we and our ended children took."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)
