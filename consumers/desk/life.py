"""The life of a ticket: which command is allowed in which status, and what it leads to (R122-R128, G9-G11).

Pure: no clock, no database, no Kafka. `decide` answers a command with a change or a refusal; `evolve` folds a decision into the state.
The desk adds the envelope to a change and stores it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from events import commands, tickets
from events.envelope import Command, Decision
from events.tickets import Status


class Ticket(NamedTuple):
    """What the desk must remember of a ticket in order to decide; times are microseconds since 1970 in UTC."""

    number: str
    version: int
    status: Status
    status_before: Status  # where it goes on when a clarification comes
    cycle: int
    recorded_at: int


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the transition table: what a command leads to, from where it is allowed, what it must say."""

    decision: type[Decision]
    to: Status
    allowed_in: frozenset[Status]
    fields: tuple[str, ...]  # copied from the command into the decision
    required: frozenset[str] = frozenset()


_BEING_WORKED_ON = frozenset({Status.REGISTERED, Status.IN_PROCESSING, Status.AWAITING_CLARIFICATION})

#: The transition table. What is not here is not possible. A ticket that awaits clarification can be taken again: the citizen may have
#: answered by phone.
STEPS: Mapping[type[Command], Step] = {
    commands.TakeTicket: Step(
        tickets.TicketTaken,
        Status.IN_PROCESSING,
        frozenset({Status.REGISTERED, Status.AWAITING_CLARIFICATION}),
        ("queue",),
        frozenset({"queue"}),
    ),
    commands.AskClarification: Step(
        tickets.ClarificationAsked,
        Status.AWAITING_CLARIFICATION,
        frozenset({Status.REGISTERED, Status.IN_PROCESSING}),
        ("question",),
        frozenset({"question"}),
    ),
    commands.ApproveTicket: Step(
        tickets.TicketApproved, Status.APPROVED, frozenset({Status.IN_PROCESSING}), ("next_steps",), frozenset({"next_steps"})
    ),
    commands.RefuseTicket: Step(
        tickets.TicketRefused,
        Status.REFUSED,
        _BEING_WORKED_ON,
        ("reason_code", "appeal_route", "explanation"),
        frozenset({"reason_code", "appeal_route", "explanation"}),
    ),
    commands.CloseTicket: Step(
        tickets.TicketClosed,
        Status.CLOSED,
        frozenset({Status.IN_PROCESSING, Status.APPROVED, Status.REFUSED}),
        ("resolution_code", "explanation"),
        frozenset({"resolution_code"}),
    ),
    commands.ReopenTicket: Step(
        tickets.TicketReopened, Status.IN_PROCESSING, frozenset({Status.CLOSED}), ("reason_code", "explanation"), frozenset({"reason_code"})
    ),
}

#: The same for what a contact's own facts lead to: a note that closes, an answer that was waited for.
ALLOWED_BY_FACT: Mapping[type[Decision], frozenset[Status]] = {
    tickets.TicketClosed: frozenset(Status) - {Status.CLOSED},
    tickets.ClarificationReceived: frozenset({Status.AWAITING_CLARIFICATION}),
}

#: What a decision says when its cause says nothing of it.
_UNSAID: Mapping[type[Decision], Mapping[str, Any]] = {
    tickets.ClarificationAsked: {"question_code": ""},
    tickets.TicketClosed: {"merged_into": None},
}

_STATUS_AFTER: Mapping[type[Decision], Status] = {step.decision: step.to for step in STEPS.values()} | {
    tickets.TicketRegistered: Status.REGISTERED
}


@dataclass(frozen=True, slots=True)
class Change:
    """What the rules allow: a kind of decision about a ticket, and what is particular to it; `number` None: the ticket this cause opens."""

    decision: type[Decision]
    number: str | None
    body: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the rules do not allow; `rule` is stable and shown to the caller, `detail` is for people and never personal."""

    rule: str
    detail: str


def decide(ticket: Ticket | None, command: Command) -> Change | Refusal:
    """Answer `command`: the change it leads to, or the rule that forbids it."""
    step = STEPS[type(command)]
    if ticket is None:
        return Refusal("unknown_ticket", "no ticket has this number")
    if command.expected_version is not None and command.expected_version != ticket.version:
        return Refusal("stale_version", f"{ticket.number} is at version {ticket.version}")
    if ticket.status not in step.allowed_in:
        return Refusal("not_in_this_status", f"{command.name} is not possible while {ticket.status}")
    said = {name: getattr(command, name) for name in step.fields}
    if missing := sorted(name for name in step.required if not said[name]):
        return Refusal("field_missing", ", ".join(missing))
    return Change(step.decision, ticket.number, {**_UNSAID.get(step.decision, {}), **said})


def is_allowed(ticket: Ticket, decision: type[Decision]) -> bool:
    """Say whether a fact may lead to `decision` while the ticket stands where it does."""
    return ticket.status in ALLOWED_BY_FACT[decision]


def evolve(ticket: Ticket | None, decision: Decision) -> Ticket:
    """Fold one decision into the state; the first one makes the ticket."""
    if ticket is None:
        return Ticket(decision.number, decision.version, Status.REGISTERED, Status.REGISTERED, decision.cycle, decision.recorded_at)
    moved = ticket._replace(version=decision.version, cycle=decision.cycle, recorded_at=decision.recorded_at)
    if isinstance(decision, tickets.ClarificationReceived):
        return moved._replace(status=ticket.status_before)
    status = _STATUS_AFTER.get(type(decision), ticket.status)
    return moved._replace(status=status, status_before=ticket.status if status != ticket.status else ticket.status_before)


def cycle_after(ticket: Ticket | None, decision: type[Decision]) -> int:
    """Return the cycle a decision belongs to: reopening begins the next one."""
    before = ticket.cycle if ticket else 1
    return before + 1 if decision is tickets.TicketReopened else before
