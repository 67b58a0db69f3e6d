"""Personal cabinet: the feedback form, one JSON message per form sent (R54-R75).

`id` is the form's own and names the contact too. `cabinet_id` is the account that was signed in. `reply_by` is `cabinet` or `call` (R67).
"""

from typing import Annotated, Literal

from pydantic import Field

from events.cabinet import CabinetRequestFiled
from events.channels.channel import CITIZEN, MANY_FILES, Intake
from events.channels.people import FileSent, Sealing, told_phone
from events.channels.words import Code, Email, Format, Language, Name, OwnId, Phone, Told, canonical, read
from events.envelope import Fact

CHANNEL = "cabinet"


class Form(Format):
    """The form as it was sent."""

    id: OwnId
    occurred_at: Told
    cabinet_id: OwnId
    category: Literal["technical", "procedure", "proposal"]  # R62-R64
    topic: Code = ""
    service: Code = ""
    reply_by: Literal["cabinet", "call"] = "cabinet"
    language: Language = ""
    name: Name = ""
    phone: Phone = ""
    email: Email = ""
    text: str = ""
    files: Annotated[list[FileSent], Field(max_length=MANY_FILES)] = Field(default_factory=list)


def translate_cabinet(document: object, intake: Intake) -> tuple[Fact, ...]:
    """Return the fact that a form tells; Rejected when it breaks the format."""
    form = read(document, Form)
    contact_id = intake.identity.contact_id(CHANNEL, form.id)
    event_id = intake.identity.event_id(CHANNEL, form.id, canonical(document), time_us=form.occurred_at.us)
    sealing = Sealing(intake, contact_id, event_id)
    name, phone = sealing.words("name", form.name), sealing.words("phone", told_phone(form.phone))
    text = sealing.words("text", form.text)
    filed = CabinetRequestFiled(
        event_id=event_id,
        occurred_at=form.occurred_at.us,
        occurred_offset_min=form.occurred_at.offset_min,
        received_at=intake.received_at_us,
        contact_id=contact_id,
        channel=CHANNEL,
        actor=CITIZEN,
        category=form.category,
        topic=form.topic,
        service=form.service,
        reply_by=form.reply_by,
        language=form.language,
        has_name=name is not None,
        has_phone=phone is not None,
        has_text=text is not None,
        cabinet_id=sealing.needed("cabinet_id", form.cabinet_id),
        name=name,
        phone=phone,
        email=sealing.words("email", form.email),
        text=text,
        attachments=sealing.files(form.files),
    )
    return (filed,)
