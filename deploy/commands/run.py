"""`hotline run`: one process as a production unit would start it, or several that share one."""

import signal
import threading

import click

from deploy.processes import Run, units_of
from events.settings import Settings


@click.command("run")
@click.argument("names", nargs=-1, required=True, metavar="NAME [MODEL]…")
def COMMAND(names: tuple[str, ...]) -> None:  # noqa: N802 - the name the table looks for
    """Run a process in the foreground until SIGTERM: intake, api, desk, relay, projectors, drift, projector MODEL.

    Several names share one process.
    """
    import structlog

    from deploy.doctor.examination import before, require_sound
    from events import crash_points
    from events.logging import configure

    units = units_of(names)
    configure("+".join(unit.name for unit in units))
    settings = Settings()
    crash_points.arm(settings.crash_point)
    require_sound(settings, before(units))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    runs = [unit.load() for unit in units]
    log = structlog.get_logger()
    log.info("started")
    try:
        others = [
            threading.Thread(target=_ending_all, args=(run, settings, stop), name=unit.name)
            for unit, run in zip(units[1:], runs[1:], strict=True)
        ]
        for thread in others:
            thread.start()
        _ending_all(runs[0], settings, stop)
        for thread in others:
            thread.join()
    finally:
        log.info("ended")


def _ending_all(run: Run, settings: Settings, stop: threading.Event) -> None:
    try:
        run(settings, stop)
    finally:
        stop.set()  # who shares a process falls together: the supervisor starts it whole
