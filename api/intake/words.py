"""The command words: what each asks for, and its translation into an event. Pure but for the sealer it is given.

Whatever stands in clear in a command is a code; people's words are sealed under the ticket's party, and of the caller's idempotency key,
which may hold anything, only a keyed digest goes on the log. Whether a ticket's status allows a
command is the desk's to say, not ours. Adding a word is one form and one line in WORDS.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from events import commands
from events.channels.channel import CITIZEN, Rejected, Seals
from events.channels.words import Format, NeededCode, Said, TicketNumber, canonical, read_tagged
from events.envelope import Command
from events.identity import Identity

IDEMPOTENCY_KEY_PATTERN = r"[A-Za-z0-9._:-]{1,200}"
_GREATEST_VERSION = 2**31 - 1


class Asked(Format):
    """What every command says."""

    command: str
    ticket: TicketNumber
    expected_version: Annotated[int, Field(ge=1, le=_GREATEST_VERSION)] | None = None


class Take(Asked):
    """I work on it now, in this queue."""

    command: Literal["take"]
    queue: NeededCode


class Clarify(Asked):
    """The citizen must supply something."""

    command: Literal["ask_clarification"]
    question: Said


class Approve(Asked):
    """The request is granted; the citizen is told what to do next (R125)."""

    command: Literal["approve"]
    next_steps: Said


class Refuse(Asked):
    """The request is declined; reason, explanation and appeal route are mandatory (R126, G11)."""

    command: Literal["refuse"]
    reason_code: NeededCode
    appeal_route: NeededCode
    explanation: Said


class Close(Asked):
    """Nothing remains to be done."""

    command: Literal["close"]
    resolution_code: NeededCode
    explanation: Said | None = None


class Reopen(Asked):
    """A closed ticket goes on."""

    command: Literal["reopen"]
    reason_code: NeededCode
    explanation: Said | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """One command word: its form, its event, and the field that holds people's words."""

    form: type[Asked]
    event: type[Command]
    sealed: str | None = None


WORDS: Mapping[str, Word] = {
    "take": Word(Take, commands.TakeTicket),
    "ask_clarification": Word(Clarify, commands.AskClarification, "question"),
    "approve": Word(Approve, commands.ApproveTicket, "next_steps"),
    "refuse": Word(Refuse, commands.RefuseTicket, "explanation"),
    "close": Word(Close, commands.CloseTicket, "explanation"),
    "reopen": Word(Reopen, commands.ReopenTicket, "explanation"),
}
_FORMS: dict[str, type[Format]] = {name: word.form for name, word in WORDS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Who asks and when; what a translation may use."""

    actor: str
    idempotency_key: str
    now_us: int
    offset_min: int
    identity: Identity
    sealer: Seals
    text_limit_bytes: int


def translate_command(document: object, asking: Asking) -> Command:
    """Return the command that a document asks for; raise Rejected, or PoolEmpty when its words can't be sealed."""
    form = read_tagged(document, "command", _FORMS)
    assert isinstance(form, Asked)
    word = WORDS[form.command]
    event_id = asking.identity.event_id("command", asking.actor, asking.idempotency_key)
    said: dict[str, Any] = {name: getattr(form, name) for name in type(form).model_fields if name not in Asked.model_fields}
    if word.sealed:
        said[word.sealed] = _seal(said[word.sealed], word.sealed, form.ticket, event_id, asking)
    return word.event(
        event_id=event_id,
        occurred_at=asking.now_us,
        occurred_offset_min=asking.offset_min,
        received_at=asking.now_us,
        recorded_at=asking.now_us,
        target=form.ticket,
        name=form.command,
        actor=asking.actor,
        idempotency_key=asking.identity.digest("idempotency-key", asking.idempotency_key).hex(),
        expected_version=form.expected_version,
        body_digest=asking.identity.digest("command", canonical(document)),
        **said,
    )


def _seal(text: str | None, field: str, number: str, event_id: bytes, asking: Asking) -> bytes | None:
    if text is None:
        return None
    clear = text.encode()
    if len(clear) > asking.text_limit_bytes:
        raise Rejected(field, "too_long", f"at most {asking.text_limit_bytes} bytes")
    return asking.sealer.seal(number.encode(), CITIZEN, event_id, field, clear)
