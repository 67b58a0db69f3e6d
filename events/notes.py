"""What an operator notes while a contact lasts, whatever its channel: a fact under the contact's key, not a command."""

from dataclasses import dataclass

from events.envelope import Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactNoted(Fact):
    """The operator wrote down what the contact is about and what shall become of it (R5, R6, R43)."""

    disposition: str  # registered, completed, belongs_to, nuisance
    ordinal: int | None  # which of the contact's tickets; None: the one opened last
    belongs_to: str | None  # number of the ticket that this contact belongs to
    kind: str  # consultation, request, complaint, failure; empty: not said
    topic: str  # code from the register of topics; empty: not said
    language: str
    has_name: bool
    has_phone: bool
    has_text: bool
    name: bytes | None
    phone: bytes | None
    email: bytes | None
    text: bytes | None
