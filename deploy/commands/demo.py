"""`hotline demo`: from nothing to a running hotline with one believable day in it, checked and summed up."""

import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deploy.exits import DONE, FOUND
from deploy.problems import PartAway
from events.settings import Settings

if TYPE_CHECKING:
    from deploy.simulator.ledger import Ledger
    from deploy.simulator.summary import Try

_TOKEN_TTL_S = 24 * 3600
_LOOK_S = 1.0
_TROUBLES_SHOWN = 20


@click.command("demo")
@click.option("--once", is_flag=True, help="Check, print, stop everything; exit 1 if something is missing.")
@click.option("--contacts", default=2000, show_default=True, type=click.IntRange(1, 1_000_000), help="How many contacts the day has.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="What the day is made from.")
@click.option("--rate", default=45.0, show_default=True, type=click.FloatRange(0.1, 10_000), help="Contacts per second.")
def COMMAND(once: bool, contacts: int, seed: int, rate: float) -> int:  # noqa: N802 - the name the table looks for
    """Start everything, play one day through all channels, check that everything arrived, show the numbers."""
    settings = Settings()
    stop, is_up = threading.Event(), threading.Event()
    with _told_by_signals(stop, is_up), _stack(settings):
        is_up.set()
        complete = _play_and_check(settings, contacts, seed, rate, stop)
        if not once and not stop.is_set():
            click.echo("\nRunning. Ctrl-C ends it.")
            while not stop.wait(_LOOK_S):
                pass
    return DONE if complete else FOUND


@contextmanager
def _told_by_signals(stop: threading.Event, is_up: threading.Event) -> Iterator[None]:
    """Ctrl-C ends the day at the next step; while the stack is not up yet, or the second time, it ends the command."""

    def told(_number: int, _frame: object) -> None:
        if stop.is_set() or not is_up.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _stack(settings: Settings) -> Iterator[None]:
    """The running stack of this folder, or one that is started here and stopped at the end."""
    from deploy import runfile
    from deploy.parts.jars import SIZE_MB
    from deploy.stack import running_stack

    run = runfile.read(settings.folder)
    if run is not None and run.ready and run.supervisor.lives():
        click.echo(f"Using the stack that runs in {settings.folder}.")
        yield
        return
    since_s = time.monotonic()
    click.echo(f"Starting Kafka, Postgres and all processes (the first time, {SIZE_MB} MB of Kafka's jars are fetched).")
    with running_stack(settings):
        click.echo(f"Up after {time.monotonic() - since_s:.1f} s.")
        yield
        click.echo("Stopping.")


def _play_and_check(settings: Settings, contacts: int, seed: int, rate: float, stop: threading.Event) -> bool:
    """Return whether everything that was accepted arrived. Raises PartAway."""
    from deploy.simulator import summary
    from deploy.simulator.day import day
    from deploy.simulator.ledger import Ledger
    from events import reference

    yesterday = datetime.now(reference.load(settings.reference).service_zone) - timedelta(days=1)
    ledger = Ledger(day(seed, contacts, on=yesterday.date(), run=f"{time.time_ns() // 1_000_000_000:x}"))
    played_s = _play(settings, ledger, rate, stop)
    if stop.is_set():
        return True
    findings, counted = _check(settings, ledger)
    click.echo()
    for line in summary.page(ledger, counted, played_s):
        click.echo(line)
    wrong = [*ledger.troubles, *findings]
    for line in wrong[:_TROUBLES_SHOWN]:
        click.echo(f"MISSING  {line}")
    click.echo(f"{len(wrong)} findings: see above." if wrong else "Everything accepted arrived in every read model.")
    click.echo()
    for line in summary.advice(_urls(settings), _tokens(settings), tries(settings, counted)):
        click.echo(line)
    return not wrong


def _play(settings: Settings, ledger: "Ledger", rate: float, stop: threading.Event) -> float:
    """Play the day; return how long it took, seconds."""
    from deploy.simulator.player import Addresses, play
    from deploy.simulator.progress import pace, shown

    @cache
    def token_for(who: str) -> str:
        return _token(settings, "adapter" if who == "adapter" else "operator", who)

    total, planned_s = len(ledger.day.steps), len(ledger.day.contacts) / rate
    ledger.started_s = since_s = time.monotonic()

    def line() -> str:
        done = ledger.steps_done
        return f"playing a day: {done:,} of {total:,} messages and commands, {pace(done, total, time.monotonic() - since_s, planned_s)}"

    with shown(sys.stdout, line):
        play(ledger.day, Addresses(settings.intake_port, settings.api_port), token_for, rate, stop, ledger)
    return time.monotonic() - since_s


def _check(settings: Settings, ledger: "Ledger") -> tuple[list[str], Mapping[str, list[tuple[Any, ...]]]]:
    """Ask the read models; return what does not hold, and their numbers. Raises PartAway."""
    import psycopg

    from deploy.simulator import arrival
    from projectors.database import CONNECT_TIMEOUT_S

    try:
        with psycopg.connect(settings.database, connect_timeout=CONNECT_TIMEOUT_S) as db:
            findings = [str(finding) for finding in arrival.check(db, ledger)]
            return findings, arrival.counted(db)
    except psycopg.OperationalError:
        raise PartAway("the database does not answer") from None


def _token(settings: Settings, role: str, sub: str) -> str:
    from api.access import issue

    return issue(settings, role, sub, _TOKEN_TTL_S)


def _tokens(settings: Settings) -> Mapping[str, str]:
    return {role: _token(settings, role, sub) for role, sub in (("adapter", "demo"), ("operator", "op-01"), ("auditor", "auditor-01"))}


def _urls(settings: Settings) -> Mapping[str, str]:
    intake, queries = f"http://127.0.0.1:{settings.intake_port}", f"http://127.0.0.1:{settings.api_port}"
    return {"intake": f"{intake}/docs", "queries": f"{queries}/docs"}


def tries(settings: Settings, counted: Mapping[str, list[tuple[Any, ...]]]) -> list["Try"]:
    """Return three commands that work while the stack runs: a ticket's story, its card over HTTP, an operator's command."""
    from deploy.simulator.summary import Try

    own = _own_name()
    told = {name: rows[0][0] for name in ("long story", "still registered") if (rows := counted[name])}
    story = told.get("long story", "RU-2025-000001")
    waiting = told.get("still registered", story)
    card = f"http://127.0.0.1:{settings.api_port}/v1/tickets/{story}"
    return [
        Try("the card and the story of one ticket", f"{own} ticket {story}"),
        Try("the same card over HTTP", f'curl -s -H "Authorization: Bearer $({own} token --role operator --sub op-01)" {card}'),
        Try("an operator takes a ticket that nobody has taken", f"{own} command take --ticket {waiting} queue=consultation"),
    ]


def _own_name() -> str:
    """How this command is called from the present folder."""
    if shutil.which("hotline"):
        return "hotline"
    beside, here = Path(sys.executable).parent / "hotline", Path.cwd()
    if not beside.exists():
        return f"{sys.executable} -m deploy.hotline"
    return str(beside.relative_to(here) if beside.is_relative_to(here) else beside)
