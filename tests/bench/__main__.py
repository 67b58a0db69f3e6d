"""`python -m tests.bench [NAME…] [--json]`: runs the benches and prints each figure beside its floor or its bound.

One machine's rates mean little elsewhere: compare what one run measured.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from time import monotonic
from types import FrameType

import click
import structlog

from tests.bench.figures import Figure, table
from tests.bench.others import watch

BENCHES = ("publish", "project", "freshness", "contact", "reads", "as_of", "export")
LONG_BENCHES = ("rebuild", "memory")  # run only when named
_LIMIT_S, _LONG_LIMIT_S = 300.0, 1_200.0  # one bench, its stack included


class TookTooLong(Exception):
    """A bench was not done within its limit."""


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]…")
@click.option("--json", "as_json", is_flag=True, help="One object, nothing else.")
def main(names: tuple[str, ...], as_json: bool) -> None:
    """Run the named benches, by default: publish, project, freshness, contact, reads, as_of, export. Only when named: rebuild, memory."""
    there = (*BENCHES, *LONG_BENCHES)
    unknown = sorted(set(names) - set(there))
    if unknown:
        raise click.UsageError(f"no bench is called {', '.join(unknown)}; there are {', '.join(there)}")
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # standard output is for figures
    began, others = monotonic(), watch()
    figures: list[Figure] = []
    try:
        for name in names or BENCHES:
            figures += _measured(name, quiet=as_json)
    finally:  # what was measured is shown even if a later bench fails
        machine = {"cores": os.cpu_count(), "taken by others": round(others(), 2), "seconds": round(monotonic() - began)}
        if as_json:
            click.echo(json.dumps({"machine": machine, "figures": [figure.as_object() for figure in figures]}))
        elif figures:
            _show(figures, machine)


def _measured(name: str, *, quiet: bool) -> Sequence[Figure]:
    if not quiet:
        click.echo(f"{name} …", err=True)
    run: Callable[[], Sequence[Figure]] = import_module(f"tests.bench.{name}").run
    with _at_most(_LONG_LIMIT_S if name in LONG_BENCHES else _LIMIT_S, name):
        return run()


def _show(figures: Sequence[Figure], machine: Mapping[str, object]) -> None:
    for line in table(figures):
        click.echo(line)
    click.echo(f"\n{machine['cores']} cores, of which others took {machine['taken by others']:.0%}; {machine['seconds']} s.")


@contextmanager
def _at_most(limit_s: float, name: str) -> Iterator[None]:
    """Raise TookTooLong in the main thread after `limit_s`; what the bench started is ended on the way out."""

    def too_long(_number: int, _frame: FrameType | None) -> None:
        raise TookTooLong(f"{name}: more than {limit_s:.0f} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


if __name__ == "__main__":
    main()
