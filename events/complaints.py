"""Facts of complaints about the work of an operator (R292-R309)."""

from dataclasses import dataclass

from events.envelope import Fact, StoredFile


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplaintFiled(Fact):
    """A citizen complained by phone, by form or on paper. One taken by phone is a fact of that call's contact."""

    filed_by: str  # phone, form, paper
    violation: str  # wrong_information, service_refused, rudeness, regulations_broken, other (R297-R300)
    wanted: str  # apology, review, compensation, other (R307)
    signature_kind: str  # none, handwritten, simple, unqualified, qualified (G26)
    signed_on: str  # date, YYYY-MM-DD; empty when unsigned (R309)
    call_at: int | None  # when the call complained of took place (R293)
    about_ticket: str  # number if received (R305), empty otherwise
    language: str
    has_name: bool
    has_phone: bool
    has_text: bool
    has_operator: bool
    operator_name: bytes | None  # as it was said (R295)
    name: bytes | None
    phone: bytes | None
    email: bytes | None
    text: bytes | None  # the claim (R296, R306)
    evidence: tuple[StoredFile, ...]
