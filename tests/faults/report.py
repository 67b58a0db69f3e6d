"""What a fault run says at its end: how much happened, what was done to the stack, what came of it, and how soon it was back."""

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from tests.faults.history import History
from tests.faults.invariants import Finding, forks, valid
from tests.faults.site import Site
from tests.oracle import Told

#: Rare branches: each must have been taken, or the run proves nothing about it.
MUST_HAPPEN = ("zombies_fenced", "duplicates_dropped", "unknown_outcomes", "repeats_by_the_relay")


def report(site: Site, records: Sequence[Told], findings: Sequence[Finding], minutes: float) -> dict[str, Any]:
    """Return the figures of a run; `findings` empty and each of MUST_HAPPEN above zero is what is wanted."""
    history, tallies = site.history, site.tallies
    by_invariant = Counter(finding.invariant.split()[-1] for finding in findings)
    return {
        "seed": history.seed,
        "minutes": round(minutes, 1),
        "records": tallies["records"],
        "requests": dict(Counter(heard.outcome for heard in history.heard)),
        "answers_500": sum(heard.status == 500 for heard in history.heard),
        "faults": len(history.kills),
        "faults_by_kind": dict(sorted(Counter(kill.kind for kill in history.kills).items())),
        "kills_by_victim": dict(sorted(Counter(kill.victim for kill in history.kills if kill.kind == "kill").items())),
        "zombies_fenced": site.fenced(),
        "duplicates_dropped": tallies["outcome duplicate"],
        "unknown_outcomes": sum(heard.outcome == "unknown" for heard in history.heard),
        "repeats_by_the_relay": tallies["repeats on hotline.tickets"] + tallies["repeats on hotline.outcomes"],
        "void": tallies["void"],
        "forks": len(list(forks(valid(records)))),
        **{
            name: by_invariant[name]
            for name in ("lost", "doubled", "reordered", "ghost", "late", "rebuild", "unbounded", "number", "outcome")
        },
        "comings_back": dict(sorted(site.comings_back().items())),
        "halts": site.halts(),
        "recovery_s": recoveries(history),
        "memory_mb": memory(history),
        "findings": [str(finding) for finding in findings],
    }


def recoveries(history: History) -> dict[str, dict[str, float]]:
    """Return for each kind of fault how often it was recovered from, the median and the worst time, and the bound, in seconds."""
    by_kind: dict[str, list[float]] = {}
    bounds: dict[str, float] = {}
    for one in history.recoveries:
        by_kind.setdefault(one.kind, []).append(one.took_s)
        bounds[one.kind] = one.bound_s
    return {
        kind: {"times": len(took), "median": round(median(took), 1), "worst": round(max(took), 1), "bound": bounds[kind]}
        for kind, took in sorted(by_kind.items())
    }


def memory(history: History) -> dict[str, list[int]]:
    """Return the resident megabytes of each process before and after."""
    samples = {held.when: held.resident_bytes for held in history.held}
    before, after = samples.get("before", {}), samples.get("after", {})
    return {name: [size >> 20, after.get(name, 0) >> 20] for name, size in sorted(before.items())}


def faults_of(report_: dict[str, Any]) -> list[str]:
    """Return why a run must not count as passed: its findings, and rare branches that were never taken."""
    return [*report_["findings"], *(f"never happened: {name}" for name in MUST_HAPPEN if not report_[name])]


def lines(report_: dict[str, Any]) -> Iterable[str]:
    """Return the report for people."""
    for name, value in report_.items():
        if isinstance(value, dict):
            yield f"{name}:"
            yield from (f"    {key:<44} {_shown(each)}" for key, each in value.items())
        elif isinstance(value, list):
            yield f"{name}: {len(value)}"
            yield from (f"    {each}" for each in value)
        else:
            yield f"{name:<24} {value}"


def _shown(value: object) -> str:
    return ", ".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, dict) else str(value)
