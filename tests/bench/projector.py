"""`python -m tests.bench.projector GROUP`: one process that projects audit log and ticket status as production does, until SIGTERM."""

import signal
import sys
from threading import Event as Flag

from consumers.project import run
from events.logging import configure
from events.settings import Settings
from tests.bench.floor import MODELS


def main() -> None:
    """Follow with both models as a member of the group."""
    configure("projector")
    stop = Flag()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    run(Settings(), stop, MODELS, group=sys.argv[1])


if __name__ == "__main__":
    main()
