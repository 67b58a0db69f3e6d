"""What a bench found, and how it is shown: one line per figure, each beside its floor or its bound. Knows no bench."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import quantiles
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure: with a `floor` in the same unit its share of it counts (`at_least`), else the value itself (`at_most`)."""

    bench: str
    what: str
    value: float
    unit: str
    floor: float | None = None
    at_least: float | None = None  # of the floor
    at_most: float | None = None  # in `unit`
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """The value as a share of its floor."""
        return None if self.floor is None else self.value / self.floor

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None: there is none."""
        if self.at_least is not None and self.ratio is not None:
            return self.ratio >= self.at_least
        return None if self.at_most is None else self.value <= self.at_most

    def as_object(self) -> dict[str, Any]:
        """The figure for `--json`."""
        return {**asdict(self), "ratio": self.ratio, "met": self.met}


def percentiles_ms(waits_s: Sequence[float]) -> dict[str, float]:
    """Return p50, p90, p99 and the greatest of `waits_s`, in milliseconds; at least two are needed."""
    cuts = quantiles(waits_s, n=100, method="inclusive")
    return {name: round(wait * 1000, 2) for name, wait in (("p50", cuts[49]), ("p90", cuts[89]), ("p99", cuts[98]), ("max", max(waits_s)))}


_HEAD = ("bench", "figure", "value", "floor", "ratio", "goal", "")


def table(figures: Sequence[Figure]) -> list[str]:
    """Return the lines of a table, and below it what else each figure tells."""
    rows = [_HEAD, *map(_cells, figures)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    told = [f"{figure.bench}, {figure.what}: {_words(figure.details)}" for figure in figures if figure.details]
    return [lines[0], "-" * len(lines[0]), *lines[1:], "", *told]


def _cells(figure: Figure) -> tuple[str, ...]:
    floor = "" if figure.floor is None else f"{_number(figure.floor)} {figure.unit}"
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    goal = f">= {figure.at_least:g}" if figure.at_least is not None else f"<= {figure.at_most:g} {figure.unit}" if figure.at_most else ""
    verdict = {True: "met", False: "MISSED", None: ""}[figure.met]
    return figure.bench, figure.what, f"{_number(figure.value)} {figure.unit}", floor, ratio, goal, verdict


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}"


def _words(details: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_number(value) if isinstance(value, float) else value}" for name, value in details.items())
