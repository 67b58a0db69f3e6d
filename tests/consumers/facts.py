"""Believable facts and commands to tell stories about; say only what matters to the story."""

from itertools import count
from typing import Any

from events import calls, chats, commands, letters
from events.cabinet import CabinetRequestFiled
from events.complaints import ComplaintFiled
from events.envelope import Command, Fact
from events.identity import Identity
from events.notes import ContactNoted

IDENTITY = Identity(b"k" * 32)
CALL_AT = 1_741_933_613_120_000  # 2025-03-14T09:26:53.120+03:00
_ids = count(1)


def _said(kind: type[Any], contact: str, channel: str, given: dict[str, Any], defaults: dict[str, Any]) -> Fact:
    number = next(_ids)
    envelope = {
        "event_id": number.to_bytes(16, "big"),
        "occurred_at": CALL_AT + number,
        "occurred_offset_min": 180,
        "received_at": CALL_AT + number + 200,
        "contact_id": IDENTITY.contact_id(channel, contact),
        "channel": channel,
        "actor": "citizen",
    }
    fact: Fact = kind(**{**envelope, **defaults, **given})
    return fact


_NOBODY: dict[str, Any] = {
    "has_name": False,
    "has_phone": False,
    "has_text": False,
    "language": "",
    "name": None,
    "phone": None,
    "email": None,
    "text": None,
}


def call_started(contact: str = "call-1", **given: Any) -> Fact:
    return _said(
        calls.CallStarted, contact, "phone", given, dict(leg=1, line="federal", country="RU", language="tt", has_phone=True, phone=b"P")
    )


def call_answered(contact: str = "call-1", **given: Any) -> Fact:
    return _said(calls.CallAnswered, contact, "phone", given, dict(leg=1, queue="general", actor="operator:17"))


def call_ended(contact: str = "call-1", **given: Any) -> Fact:
    return _said(
        calls.CallEnded,
        contact,
        "phone",
        given,
        dict(leg=1, ending="completed", wait_s=3, talk_s=60, connected_at=None, actor="process:telephony"),
    )


def noted(contact: str = "call-1", channel: str = "phone", **given: Any) -> Fact:
    plain = {**_NOBODY, "disposition": "completed", "ordinal": None, "belongs_to": None, "kind": "", "topic": "", "actor": "operator:17"}
    return _said(ContactNoted, contact, channel, given, plain)


def chat_message(contact: str = "chat-1", **given: Any) -> Fact:
    return _said(chats.ChatMessagePosted, contact, "chat", given, dict(ordinal=None, language="en", size_chars=5, text=b"T"))


def chat_closed(contact: str = "chat-1", **given: Any) -> Fact:
    return _said(chats.ChatClosed, contact, "chat", given, dict(ending="by_citizen"))


def letter(contact: str = "letter-1", **given: Any) -> Fact:
    plain = {
        **_NOBODY,
        **dict(has_sender=True, has_name=True, has_phone=True, has_text=True, name=b"N", phone=b"P", text=b"T", sender=b"S", subject=None),
        **dict(
            size_bytes=900,
            raw_digest=b"d" * 32,
            message_key=b"m" * 16,
            auto_submitted=False,
            text_cut=False,
            thread_keys=(),
            attachments=(),
        ),
    }
    plain.pop("email")
    return _said(letters.LetterReceived, contact, "email", given, plain)


def request(contact: str = "form-1", **given: Any) -> Fact:
    plain = {
        **_NOBODY,
        **dict(category="technical", topic="", service="", reply_by="cabinet", cabinet_id=b"C", text=b"T", has_text=True, attachments=()),
    }
    return _said(CabinetRequestFiled, contact, "cabinet", given, plain)


def complaint(contact: str = "paper-1", known_as: str = "complaint", **given: Any) -> Fact:
    plain = {
        **_NOBODY,
        **dict(
            filed_by="paper", violation="rudeness", wanted="apology", signature_kind="handwritten", signed_on="2025-03-14", call_at=None
        ),
        **dict(about_ticket="", has_operator=False, operator_name=None, evidence=()),
    }
    return _said(ComplaintFiled, contact, known_as, given, plain)


_COMMAND_FIELDS: dict[str, tuple[type[Command], dict[str, Any]]] = {
    "take": (commands.TakeTicket, {"queue": "accounts"}),
    "ask_clarification": (commands.AskClarification, {"question": b"Q"}),
    "approve": (commands.ApproveTicket, {"next_steps": b"S"}),
    "refuse": (commands.RefuseTicket, {"reason_code": "documents.incomplete", "appeal_route": "court", "explanation": b"E"}),
    "close": (commands.CloseTicket, {"resolution_code": "answered", "explanation": None}),
    "reopen": (commands.ReopenTicket, {"reason_code": "new_question", "explanation": None}),
}


def command(name: str, target: str, **given: Any) -> Command:
    kind, fields = _COMMAND_FIELDS[name]
    number = next(_ids)
    envelope = {
        "event_id": number.to_bytes(16, "big"),
        "occurred_at": CALL_AT + number,
        "occurred_offset_min": 180,
        "received_at": CALL_AT + number,
        "recorded_at": CALL_AT + number,
        "target": target,
        "name": name,
        "actor": "operator:17",
        "idempotency_key": f"key-{number}",
        "expected_version": None,
        "body_digest": b"b" * 16,
    }
    return kind(**{**envelope, **fields, **given})
