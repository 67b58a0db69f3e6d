"""Complaints about an operator: one JSON message per complaint (R292-R309, G26, G34).

`by` is `phone`, `form` or `paper`. One taken by phone names its `call` and belongs to that call's contact; the others are contacts of their
own. By phone and on paper `taken_by` is the operator who wrote it down. The operator complained of is named in `operator_name`, as it was
said. `signed_on` goes with a signature.
"""

from typing import Annotated, Literal

from pydantic import Field

from events.channels.channel import CITIZEN, MANY_FILES, OPERATOR, Intake, Rejected
from events.channels.people import FileSent, Sealing, told_phone
from events.channels.phone import call_contact
from events.channels.words import (
    Day,
    Email,
    Format,
    Language,
    Name,
    OperatorId,
    OwnId,
    Phone,
    TicketNumber,
    Told,
    canonical,
    read,
)
from events.complaints import ComplaintFiled
from events.envelope import Fact

CHANNEL = "complaint"


class Complaint(Format):
    """The complaint as it was filed."""

    id: OwnId
    occurred_at: Told
    by: Literal["phone", "form", "paper"]
    call: OwnId | None = None
    taken_by: OperatorId | None = None
    violation: Literal["wrong_information", "service_refused", "rudeness", "regulations_broken", "other"]  # R297-R300
    wanted: Literal["apology", "review", "compensation", "other"] = "other"  # R307
    signature_kind: Literal["none", "handwritten", "simple", "unqualified", "qualified"] = "none"
    signed_on: Day | None = None
    call_at: Told | None = None  # when the call complained of took place (R293)
    about_ticket: TicketNumber | None = None
    language: Language = ""
    operator_name: Name = ""
    name: Name = ""
    phone: Phone = ""
    email: Email = ""
    text: str = ""
    files: Annotated[list[FileSent], Field(max_length=MANY_FILES)] = Field(default_factory=list)


def translate_complaint(document: object, intake: Intake) -> tuple[Fact, ...]:
    """Return the fact that a complaint is; Rejected when it breaks the format."""
    complaint = read(document, Complaint)
    _check(complaint)
    contact_id = call_contact(intake, complaint.call) if complaint.call else intake.identity.contact_id(CHANNEL, complaint.id)
    event_id = intake.identity.event_id(CHANNEL, complaint.id, canonical(document), time_us=complaint.occurred_at.us)
    sealing = Sealing(intake, contact_id, event_id)
    name, phone = sealing.words("name", complaint.name), sealing.words("phone", told_phone(complaint.phone))
    text, operator_name = sealing.words("text", complaint.text), sealing.words("operator_name", complaint.operator_name, OPERATOR)
    filed = ComplaintFiled(
        event_id=event_id,
        occurred_at=complaint.occurred_at.us,
        occurred_offset_min=complaint.occurred_at.offset_min,
        received_at=intake.received_at_us,
        contact_id=contact_id,
        channel=CHANNEL,
        actor=f"operator:{complaint.taken_by}" if complaint.taken_by else CITIZEN,
        filed_by=complaint.by,
        violation=complaint.violation,
        wanted=complaint.wanted,
        signature_kind=complaint.signature_kind,
        signed_on=complaint.signed_on or "",
        call_at=complaint.call_at.us if complaint.call_at else None,
        about_ticket=complaint.about_ticket or "",
        language=complaint.language,
        has_name=name is not None,
        has_phone=phone is not None,
        has_text=text is not None,
        has_operator=operator_name is not None,
        operator_name=operator_name,
        name=name,
        phone=phone,
        email=sealing.words("email", complaint.email),
        text=text,
        evidence=sealing.files(complaint.files),
    )
    return (filed,)


def _check(complaint: Complaint) -> None:
    by_phone = complaint.by == "phone"
    if by_phone and complaint.call is None:
        raise Rejected("call", "missing", "a complaint by phone names its call")
    if not by_phone and complaint.call is not None:
        raise Rejected("call", "not_here", "only a complaint by phone names a call; call_at tells when the call complained of was")
    if complaint.by != "form" and complaint.taken_by is None:
        raise Rejected("taken_by", "missing", "the operator who wrote the complaint down")
    if complaint.signature_kind == "none" and complaint.signed_on is not None:
        raise Rejected("signed_on", "not_here", "a date of signing goes with a signature")
