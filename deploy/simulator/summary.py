"""The page of numbers at the end of a demo, and what to try next. Pure: numbers in, lines out."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

from deploy.simulator.ledger import Ledger

_WIDTH = 24
_LANGUAGES = {"ru": "Russian", "en": "English", "tt": "Tatar"}


@dataclass(frozen=True, slots=True)
class Try:
    """Something to do next: what it shows, and the command."""

    shows: str
    command: str


def median_and_p99_ms(seconds: Sequence[float]) -> tuple[float, float]:
    """Return both in milliseconds; zeros when nothing was timed."""
    if len(seconds) <= 1:
        return (seconds[0] * 1000,) * 2 if seconds else (0.0, 0.0)
    cuts = quantiles(seconds, n=100, method="inclusive")
    return cuts[49] * 1000, cuts[98] * 1000


def page(ledger: Ledger, counted: Mapping[str, list[tuple[Any, ...]]], played_s: float) -> Iterator[str]:
    """Return the lines of the page of numbers."""
    planned = ledger.day.contacts
    here = [planned[name] for name in ledger.contacts()]
    yield f"A day of {len(here)} contacts, seed {ledger.day.seed}, played in {played_s:.0f} s"
    yield from _row("contacts by channel", Counter(one.channel for one in here).most_common())
    yield from _row("languages", Counter(_LANGUAGES[one.language] for one in here).most_common())
    yield from _row("tickets by status", counted["tickets by status"])
    yield from _row("tickets by kind", counted["tickets by kind"])
    events = len({one.event_id for one in ledger.accepted})
    yield from _row("facts accepted", [("", events), ("repeats of them, dropped", len(ledger.accepted) - events)])
    yield from _row("outcomes of facts", counted["outcomes of facts"])
    decided = sum(1 for one in ledger.answered if not one.rule)
    yield from _row("commands", [("decided", decided), ("refused", sum(ledger.refused().values()))])
    yield from _row("refused by rule", ledger.refused().most_common())
    yield from _row("requests sent again", [("", ledger.repeated_requests)])
    median, p99 = median_and_p99_ms(ledger.visible_s)
    yield f"{'accepted to visible':<{_WIDTH}} median {median:.0f} ms, p99 {p99:.0f} ms (over HTTP, {len(ledger.visible_s)} timed)"


def _row(title: str, counts: Iterable[Sequence[Any]]) -> Iterator[str]:
    told = ", ".join(f"{name} {count:,}".strip() for name, count in counts)
    if told:
        yield f"{title:<{_WIDTH}} {told}"


def advice(urls: Mapping[str, str], tokens: Mapping[str, str], tries: Sequence[Try]) -> Iterator[str]:
    """Return the lines that say where everything is and what to try."""
    for name, url in urls.items():
        yield f"{name:<{_WIDTH}} {url}"
    for role, token in tokens.items():
        yield f"{'token, ' + role:<{_WIDTH}} {token}"
    yield "Try:"
    for one in tries:
        yield f"  # {one.shows}"
        yield f"  {one.command}"
