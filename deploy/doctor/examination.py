"""The examination: every check in its order, those of a start, and what came out.

A part that is away keeps no other from being looked at.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import psycopg
import structlog

from deploy.doctor import brokers, machine, postgres, records, tables, topics
from deploy.doctor.context import Context
from deploy.doctor.finding import HARD, Finding
from deploy.problems import PartAway, Unwilling
from deploy.processes import Unit
from events.settings import Settings

Check = Callable[[Context], Iterable[Finding]]

CHECKS: tuple[Check, ...] = (
    topics.missing,
    topics.settings,
    topics.partitions,
    topics.copies,
    topics.laggards,
    topics.beginnings,
    brokers.settings,
    brokers.transactions,
    tables.positions,
    records.strays,
    records.holes,
    records.damage,
    records.unread,
    records.unknown_schemas,
    tables.parted_keys,
    tables.parked,
    tables.outbox,
    tables.causes,
    postgres.durability,
    postgres.sessions,
    machine.database_clock,
    machine.broker_clock,
    machine.disks,
    machine.keys_left,
    machine.schemas,
    machine.clients,
)

#: What is looked at before any process starts: a few quick questions. Whether a server is durable is not its business.
BEFORE_A_PROCESS: tuple[Check, ...] = (topics.settings, topics.partitions, brokers.settings, machine.clients)
#: What is looked at once the parts of a whole stack answer, before its processes start; whose position is wrong says so by itself.
BEFORE_A_STACK: tuple[Check, ...] = (*BEFORE_A_PROCESS, topics.missing, postgres.durability, postgres.sessions)

_START_LIMIT_S = 1.0  # for each question

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Result:
    """What was found, and what could not be looked at, each once."""

    findings: Sequence[Finding]
    unreachable: Sequence[str]


def before(units: Sequence[Unit]) -> tuple[Check, ...]:
    """Return what is looked at before these processes start: a position keeps nobody from starting who does not go on from it."""
    return (*BEFORE_A_PROCESS, tables.positions_of(units))


def examine(context: Context, checks: Sequence[Check] = CHECKS) -> Result:
    """Look at everything the checks look at, one after another, each within a few seconds."""
    findings: list[Finding] = []
    away: dict[str, None] = {}
    try:
        for check in checks:
            try:
                findings += check(context)
            except PartAway as problem:
                away[str(problem)] = None
            except psycopg.Error as problem:  # its own words may hold a row
                name = f"{check.__module__.rpartition('.')[2]}.{check.__name__}"
                away[f"{name}: the database refuses ({type(problem).__name__} {problem.sqlstate or 'no answer'})"] = None
    finally:
        context.close()
    return Result(list(dict.fromkeys(findings)), list(away))


def require_sound(settings: Settings, checks: Sequence[Check]) -> None:
    """Raise Unwilling with every hard finding and its remedy. What is away is nobody's hazard: who needs it waits for it."""
    result = examine(Context(settings, ask_limit_s=_START_LIMIT_S), checks)
    for finding in result.findings:
        log.warning("hazard", code=finding.code, severity=finding.severity, what=finding.what, remedy=finding.remedy)
    for part in result.unreachable:
        log.info("not examined", because=part)
    if lines := [f"{finding.what}; remedy: {finding.remedy}" for finding in result.findings if finding.severity == HARD]:
        raise Unwilling("will not start on this set-up: " + " | ".join(lines))
