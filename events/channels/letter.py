"""E-mail: a letter as RFC 5322 bytes, or one JSON message `{"letter_base64": …}` for small ones (R76-R93).

A letter carries its own id and time. It is known by its Message-ID and its body; what servers write into its head on the way does not
count, nor do line ends, blank lines at the end and the quoting of mbox files. One without Message-ID is known by From, Date, Subject and
body. A letter without a readable Date occurred when it was received, and its id holds no time.

No letter is refused but an empty and a too large one. The whole of it goes sealed into the store as file 0, attachments (those of carried
letters too) as files 1 and on; the event holds what a clerk reads first.
"""

import re

from events.channels.channel import CITIZEN, MANY_FILES, Intake, Rejected
from events.channels.charsets import decode
from events.channels.mail_headers import Head, address, message_ids, moment, read_head, words
from events.channels.mail_parts import Leaf, leaves
from events.channels.mail_text import language_of, text_of
from events.channels.moments import Moment
from events.channels.people import Sealing
from events.channels.phones_in_text import find_phone
from events.channels.words import Content, Format, read
from events.envelope import Fact
from events.letters import LetterReceived

CHANNEL = "email"
MOST_IN_THREAD = 50
NAME_CHARS = 300
_KEYWORD = re.compile(rb"[A-Za-z-]*")  # of Auto-Submitted (RFC 3834); parameters and comments may follow


class LetterInJson(Format):
    """A letter inside a JSON message."""

    letter_base64: Content


def translate_letter_json(document: object, intake: Intake) -> tuple[Fact, ...]:
    """Return the fact that a letter inside a JSON message is."""
    return translate_letter(read(document, LetterInJson).letter_base64, intake)


def translate_letter(raw: bytes, intake: Intake) -> tuple[Fact, ...]:
    """Return the fact that a letter is; Rejected only when it is empty or larger than a letter may be."""
    if not raw.strip():
        raise Rejected("", "empty", "a letter has at least one byte")
    if len(raw) > intake.limits.letter_bytes:
        raise Rejected("", "too_large", f"at most {intake.limits.letter_bytes} bytes")
    whole = raw if b"\n" in raw else raw.replace(b"\r", b"\n")
    head, body_start = read_head(whole)
    body = whole[body_start:]
    known_by = (*_own_id(head), _stable(body))
    told = moment(head.raw("date"))
    contact_id = intake.identity.contact_id(CHANNEL, *known_by)
    event_id = intake.identity.event_id(CHANNEL, *known_by, time_us=told.us if told else 0)
    occurred = told or Moment(intake.received_at_us, 0)
    return (_received(raw, head, list(leaves(head, body)), occurred, Sealing(intake, contact_id, event_id)),)


def _received(raw: bytes, head: Head, parts: list[Leaf], occurred: Moment, sealing: Sealing) -> LetterReceived:
    intake = sealing.intake
    sender, name = _sender(head)
    text, text_cut = text_of(parts, intake.limits.text_in_event_bytes)
    subject = head.words("subject")
    sealed_name, phone, sealed_text = sealing.words("name", name), sealing.words("phone", find_phone(text)), sealing.words("text", text)
    return LetterReceived(
        event_id=sealing.event_id,
        occurred_at=occurred.us,
        occurred_offset_min=occurred.offset_min,
        received_at=intake.received_at_us,
        contact_id=sealing.contact_id,
        channel=CHANNEL,
        actor=CITIZEN,
        size_bytes=len(raw),
        raw_digest=sealing.file(0, raw),
        message_key=intake.identity.digest("message-id", *_own_id(head)),
        auto_submitted=is_automatic(head),
        has_sender=bool(sender),
        has_name=sealed_name is not None,
        has_phone=phone is not None,
        has_text=sealed_text is not None,
        text_cut=text_cut,
        language=language_of(f"{subject}\n{text}"),
        sender=sealing.words("sender", sender),
        name=sealed_name,
        phone=phone,
        subject=sealing.words("subject", subject),
        text=sealed_text,
        thread_keys=_thread(head, intake),
        attachments=tuple(
            sealing.stored(place, leaf.content, leaf.media_type, leaf.name[:NAME_CHARS])
            for place, leaf in enumerate([leaf for leaf in parts if _is_attachment(leaf)][:MANY_FILES], 1)
        ),
    )


def is_automatic(head: Head) -> bool:
    """Tell whether no person wrote this: the letter says so itself (RFC 3834), or it is a bounce (RFC 3464, RFC 5321).

    Nothing is guessed from other fields or from the sender's address: a citizen's letter must open its ticket.
    """
    said = _KEYWORD.match(head.raw("auto-submitted").strip())
    if said and said[0].lower() not in (b"", b"no"):
        return True
    media_type, told = head.valued("content-type")
    delivery_report = media_type == "multipart/report" and told.get("report-type", "").lower() == "delivery-status"
    return delivery_report or head.raw("return-path").strip() == b"<>"


def _sender(head: Head) -> tuple[str, str]:
    """Return address and name of who wrote; From first, then the fields that stand in for it."""
    name = ""
    for field in ("from", "sender", "reply-to"):
        told, beside = address(decode(head.raw(field)))
        name = name or beside
        if told:
            return words(told)[:320], name[:NAME_CHARS]
    return "", name[:NAME_CHARS]


def _own_id(head: Head) -> tuple[bytes, ...]:
    ids = message_ids(head.raw("message-id"))
    return ids[:1] or (b"no message-id", *(b" ".join(head.raw(field).split()) for field in ("from", "date", "subject")))


def _thread(head: Head, intake: Intake) -> tuple[bytes, ...]:
    answered = message_ids(head.raw("references"))[-MOST_IN_THREAD:] + message_ids(head.raw("in-reply-to"))[:1]
    return tuple(dict.fromkeys(intake.identity.digest("message-id", one) for one in answered))


def _stable(body: bytes) -> bytes:
    """Return what no server and no mailbox file changes of a body."""
    plain = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip()
    return re.sub(rb"(?m)^>+From ", b"From ", plain) if b">From " in plain else plain


def _is_attachment(leaf: Leaf) -> bool:
    return leaf.attached or leaf.media_type not in ("text/plain", "text/html")
