"""What operators and automatic processes ask of a ticket; one class for each command word."""

from dataclasses import dataclass

from events.envelope import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeTicket(Command):
    """`take`: I work on it now."""

    queue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskClarification(Command):
    """`ask_clarification`: the citizen must supply something."""

    question: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveTicket(Command):
    """`approve`: the request is granted; further actions are stated (R125)."""

    next_steps: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefuseTicket(Command):
    """`refuse`: the request is declined; reason and appeal route are mandatory (G11)."""

    reason_code: str
    appeal_route: str
    explanation: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseTicket(Command):
    """`close`: nothing remains to be done."""

    resolution_code: str
    explanation: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReopenTicket(Command):
    """`reopen`: a closed ticket goes on."""

    reason_code: str
    explanation: bytes | None
