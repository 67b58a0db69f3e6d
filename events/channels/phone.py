"""Telephone: one JSON message for each step of a call (R1-R22, R212, R334).

A step is known by `call`, `leg`, `event` and `sequence`; neither its time nor its other fields count, so that an exchange's live events and
its call records may both tell of it. `leg` is 1 unless the exchange splits the call, `sequence` is 1 unless a step happens again in a leg.
A withheld number is left out; one without three digits ("anonymous") is taken for withheld. `target` of a transfer is a queue, an operator
or an agency by its code, never a number. A recording comes as `content_base64` and is sealed here, or lies sealed in the store already and
is named by `digest`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from events.calls import CallAnswered, CallEnded, CallStarted, CallTransferred, RecordingStored
from events.channels.channel import CITIZEN, Intake, Rejected
from events.channels.notes import Noted, note_fact
from events.channels.people import Sealing, known_media_type, told_phone
from events.channels.words import (
    Code,
    Content,
    Country,
    Digest,
    Format,
    Language,
    MediaType,
    NeededCode,
    OperatorId,
    OwnId,
    Phone,
    Seconds,
    Told,
    is_code,
    read_tagged,
)
from events.envelope import Fact

CHANNEL = "phone"
EXCHANGE = "process:exchange"


class Step(Format):
    """What every step of a call says."""

    event: str
    call: OwnId
    leg: Annotated[int, Field(ge=1, le=999)] = 1
    sequence: Annotated[int, Field(ge=1, le=9999)] = 1
    occurred_at: Told


class Started(Step):
    """The caller was connected to a line."""

    event: Literal["started"]
    line: NeededCode
    phone: Phone = ""
    country: Country = ""
    language: Language = ""


class Answered(Step):
    """An operator picked up."""

    event: Literal["answered"]
    queue: Code = ""
    operator: OperatorId | None = None


class Transferred(Step):
    """The call was handed on."""

    event: Literal["transferred"]
    target_kind: Literal["queue", "operator", "outside"]
    target: OperatorId  # or a code
    operator: OperatorId | None = None


class Ended(Step):
    """The line was closed."""

    event: Literal["ended"]
    ending: Literal["completed", "abandoned", "overflow", "failed"]
    wait_s: Seconds = 0
    talk_s: Seconds = 0
    connected_at: Told | None = None


class Recorded(Step):
    """The recording is there."""

    event: Literal["recording_stored"]
    duration_s: Seconds
    media_type: MediaType = "audio/ogg"
    content_base64: Content | None = None
    digest: Digest | None = None
    size_bytes: Annotated[int, Field(ge=1, le=10**12)] | None = None


class CallNoted(Noted):
    """What the operator wrote down during the call."""

    call: OwnId


STEPS: dict[str, type[Step]] = {
    "started": Started,
    "answered": Answered,
    "transferred": Transferred,
    "ended": Ended,
    "recording_stored": Recorded,
}


def translate_phone(document: object, intake: Intake) -> tuple[Fact, ...]:
    """Return the fact that a message of the exchange or of an operator tells; Rejected when it breaks the format."""
    message = read_tagged(document, "event", {**STEPS, "noted": CallNoted})
    if isinstance(message, CallNoted):
        return (note_fact(message, CHANNEL, call_contact(intake, message.call), document, intake),)
    assert isinstance(message, Step)
    contact_id = call_contact(intake, message.call)
    event_id = intake.identity.event_id(CHANNEL, message.call, message.leg, message.event, message.sequence)
    envelope = {
        "event_id": event_id,
        "occurred_at": message.occurred_at.us,
        "occurred_offset_min": message.occurred_at.offset_min,
        "received_at": intake.received_at_us,
        "contact_id": contact_id,
        "channel": CHANNEL,
        "leg": message.leg,
    }
    return (_fact(message, envelope, Sealing(intake, contact_id, event_id)),)


def call_contact(intake: Intake, call: str) -> bytes:
    """Return the id of the contact that a call is."""
    return intake.identity.contact_id(CHANNEL, call)


def _fact(step: Step, envelope: dict[str, Any], sealing: Sealing) -> Fact:
    match step:
        case Started():
            phone = sealing.words("phone", told_phone(step.phone))
            return CallStarted(
                **envelope,
                actor=CITIZEN,
                line=step.line,
                country=step.country,
                language=step.language,
                has_phone=phone is not None,
                phone=phone,
            )
        case Answered():
            return CallAnswered(**envelope, actor=_actor(step.operator), queue=step.queue)
        case Transferred():
            if step.target_kind != "operator" and not is_code(step.target):
                raise Rejected("target", "code_expected", "the code of a queue or of an agency, no number")
            return CallTransferred(**envelope, actor=_actor(step.operator), target_kind=step.target_kind, target=step.target)
        case Ended():
            connected_at = step.connected_at.us if step.connected_at else None
            return CallEnded(
                **envelope, actor=EXCHANGE, ending=step.ending, wait_s=step.wait_s, talk_s=step.talk_s, connected_at=connected_at
            )
        case Recorded():
            return _recording(step, envelope, sealing)
    raise Rejected("event", "unknown_word")


def _recording(step: Recorded, envelope: dict[str, Any], sealing: Sealing) -> RecordingStored:
    if (step.content_base64 is None) == (step.digest is None):
        raise Rejected("content_base64", "one_of_two", "either content_base64, or digest with size_bytes")
    if step.content_base64 is not None:
        digest, size_bytes = sealing.file(1, step.content_base64), len(step.content_base64)
    else:
        digest, size_bytes = bytes.fromhex(step.digest or ""), step.size_bytes or 0
        if not size_bytes:
            raise Rejected("size_bytes", "missing", "the size of the clear recording goes with its digest")
        if not sealing.intake.files.exists(digest):
            raise Rejected("digest", "not_stored", "no sealed file has this digest")
    return RecordingStored(
        **envelope,
        actor=EXCHANGE,
        digest=digest,
        size_bytes=size_bytes,
        duration_s=step.duration_s,
        media_type=known_media_type(step.media_type),
    )


def _actor(operator: str | None) -> str:
    return f"operator:{operator}" if operator else EXCHANGE
