"""`python -m tests.faults.long --minutes 40 --seed N`: a stack under load is harmed in a seeded order until the time is up, then judged.

Exit codes: 0 every promise held and every rare branch was taken; 1 not so, and the seed is said. All it starts ends with it. The report and
the history lie in `--folder`; on failure the logs of the stack too.
"""

import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from types import FrameType

import click
import structlog

from deploy.parts.ports import pick_free
from tests.faults.deck import Card, drawn
from tests.faults.proxy import Proxy
from tests.faults.rebuilt import unequal
from tests.faults.report import faults_of, lines, report
from tests.faults.site import Site, running_site
from tests.journeys.stacks import SETTLE_LIMIT_S, wait_settled
from tests.journeys.through import ALL_S, goes_through

WARM_UP_S = 20.0
SETTLES_S = 3 * SETTLE_LIMIT_S
REST_S = 1.0
LOSSY_ONE_IN = 60  # of the answers that cross the bad line between callers and the intake


class TimeIsUp(SystemExit):
    """We were told to end: all that was started ends first."""


@click.command()
@click.option("--minutes", type=float, default=40.0, show_default=True, help="How long harm is done; starting and judging come on top.")
@click.option("--seed", type=int, default=424242, show_default=True, help="The order of all that happens.")
@click.option("--per-s", type=float, default=20.0, show_default=True, help="Requests a second.")
@click.option("--folder", type=click.Path(path_type=Path), default=None, help="For the report; default: a new one for temporary files.")
@click.option("--json", "as_json", is_flag=True, help="The report as one object, nothing else.")
def main(minutes: float, seed: int, per_s: float, folder: Path | None, as_json: bool) -> None:
    """Harm a stack of its own for some minutes and check every promise."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _end)
    place = folder or Path(tempfile.mkdtemp(prefix=f"hotline-faults-{seed}-"))
    place.mkdir(parents=True, exist_ok=True)
    began_s = monotonic()
    with running_site(seed, place / "history.jsonl") as site, _logs_kept(site, place) as keep:
        click.echo(f"seed {seed}, {minutes:g} minutes at {per_s:g} requests a second; report in {place}", err=True)
        _harm(site, 60 * minutes, per_s)
        site.held("after")
        records = site.records()
        findings = [*site.findings(records), *unequal(site.settings)]
        found = report(site, records, findings, (monotonic() - began_s) / 60)
        if faults_of(found):
            keep()
    (place / "report.json").write_text(json.dumps(found, ensure_ascii=False, indent=1))
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(lines(found)))
    if why := faults_of(found):
        click.echo(f"FAILED with seed {seed}: {len(why)} findings, the first: {why[0]}", err=True)
        sys.exit(1)


def _harm(site: Site, for_s: float, per_s: float) -> None:
    """Draw cards until the time is up, callers about all the while; then let everything settle."""
    with _bad_line_to_the_intake(site) as bad_port, site.load(per_s, site.settings.intake_port, site.settings.intake_port, bad_port):
        goes_through(site.settings, "at-the-beginning")
        since_s = monotonic()
        while monotonic() - since_s < min(WARM_UP_S, for_s / 4):
            goes_through(site.settings, f"warming-up-{monotonic():.3f}")
        site.held("before")
        for number, (card, chance) in enumerate(drawn(site.history.seed)):
            if monotonic() - since_s > for_s:
                break
            click.echo(f"{site.history.now_s():7.1f} s  {card.kind}", err=True)
            card.strike(site, chance)
            _see_it_back(site, card, number)
    wait_settled(site.settings, SETTLES_S)


def _see_it_back(site: Site, card: Card, number: int) -> None:
    """Measure how soon a new contact goes all the way through; too late is a finding, never is the end of the run."""
    since_s = monotonic()
    try:
        goes_through(site.settings, f"after-{number}")
    except AssertionError:
        goes_through(site.settings, f"after-{number}-again", SETTLES_S)
        site.recovered(card.kind, ALL_S + monotonic() - since_s, card.back_s)
        return
    site.recovered(card.kind, monotonic() - since_s, card.back_s)


@contextmanager
def _bad_line_to_the_intake(site: Site) -> Iterator[int]:
    """A port by which callers reach the intake over a line that now and then dies with the question or the answer: outcomes unknown."""
    with Proxy(pick_free(1), site.settings.intake_port, site.history.seed) as line, line.weather(closing_one_in=LOSSY_ONE_IN):
        yield line.port


class _Keep:
    """Copies the logs of the stack beside the report."""

    def __init__(self, site: Site, place: Path) -> None:
        self._site, self._place = site, place

    def __call__(self) -> None:
        shutil.copytree(self._site.settings.folder / "logs", self._place / "logs", dirs_exist_ok=True)


@contextmanager
def _logs_kept(site: Site, place: Path) -> Iterator[_Keep]:
    """Keep the logs when the block ends in a failure, or when they are asked for."""
    keep = _Keep(site, place)
    try:
        yield keep
    except BaseException:
        keep()
        click.echo(f"FAILED with seed {site.history.seed}; logs and history in {place}", err=True)
        raise


def _end(_number: int, _frame: FrameType | None) -> None:
    raise TimeIsUp(1)


if __name__ == "__main__":
    main()
