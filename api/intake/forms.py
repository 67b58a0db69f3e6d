"""What the intake's routes take and answer, for the description of the application: the forms themselves, and an example of each.

The framework never sees these bodies, since the routes read them within bounds of their own. Nothing here is asked while a request runs.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from api.intake.bodies import JSON, JSON_LINES, LETTER
from api.intake.words import WORDS
from events.channels import cabinet, chat, complaint, letter, phone
from events.channels.words import Format

#: Channel → the messages it knows.
FORMS: Mapping[str, tuple[type[Format], ...]] = {
    "phone": (*phone.STEPS.values(), phone.CallNoted),
    "chat": tuple(chat.FORMS.values()),
    "email": (letter.LetterInJson,),
    "cabinet": (cabinet.Form,),
    "complaint": (complaint.Complaint,),
}
#: Channel → messages as an adapter sends them.
EXAMPLES: Mapping[str, list[dict[str, Any]]] = {
    "phone": [
        {
            **{"event": "started", "call": "1741933613.42", "occurred_at": "2025-03-14T09:26:53.120+03:00"},
            **{"line": "federal", "phone": "+7 495 000-00-00", "country": "RU", "language": "ru"},
        },
        {
            **{"event": "ended", "call": "1741933613.42", "occurred_at": "2025-03-14T09:31:20+03:00"},
            **{"ending": "completed", "wait_s": 14, "talk_s": 253},
        },
    ],
    "chat": [
        {
            **{"event": "message", "chat": "c-20250314-0117", "id": "m-1", "occurred_at": "2025-03-14T10:02:11+03:00"},
            **{"from": "citizen", "text": "Гаризам кайчан каралачак?", "language": "tt"},
        }
    ],
    "email": [{"letter_base64": "U3ViamVjdDogQWNjb3VudCBsb2NrZWQNCg0KSSBjYW4ndCBzaWduIGluLg0K"}],
    "cabinet": [
        {
            **{"id": "form-88121", "occurred_at": "2025-03-14T11:40:00+03:00", "cabinet_id": "100200300", "category": "technical"},
            **{"topic": "account.locked", "language": "ru", "text": "Не могу войти в личный кабинет."},
        }
    ],
    "complaint": [
        {
            **{"id": "complaint-501", "occurred_at": "2025-03-14T12:05:00+03:00", "by": "form", "violation": "wrong_information"},
            **{"wanted": "review", "about_ticket": "RU-2025-001234", "language": "en", "text": "I was told a wrong list of papers."},
        }
    ],
}
COMMAND: Mapping[str, Any] = {
    **{"command": "refuse", "ticket": "RU-2025-001234", "expected_version": 3, "reason_code": "not_eligible"},
    **{"appeal_route": "prosecutor", "explanation": "Срок обращения истёк."},
}
_POSITION = "AQAAAA"
_FACT = {
    "event_id": "0195935ee5a0845fcf8985800218d324",
    "type": "hotline.calls.CallStarted",
    "contact_id": "94886ec3489f6e85774ff92052815264",
}
_PLACE = {"number": "RU-2025-001234", "version": 4, "partition": 3, "offset": 17}


def _schemas(channel: str, forms: Iterable[type[Format]]) -> list[dict[str, Any]]:
    made = [form.model_json_schema(ref_template="#/components/schemas/{model}") for form in forms]
    return [{**schema, "title": f"{channel}: {schema['title']}"} for schema in made]


CONTACTS_BODY: Mapping[str, Any] = {
    "required": True,
    "content": {
        JSON: {
            "schema": {
                "description": "One message of the channel, or an array of them. The fields of each kind of message:",
                "anyOf": [
                    *(schema for channel, forms in FORMS.items() for schema in _schemas(channel, forms)),
                    {"type": "array", "title": "any of these, several", "items": {"type": "object"}},
                ],
            },
            "examples": {channel: {"value": messages} for channel, messages in EXAMPLES.items()},
        },
        JSON_LINES: {"schema": {"type": "string", "description": "The same messages, one per line."}},
        LETTER: {"schema": {"type": "string", "description": "For email alone: one letter as it came, in bytes."}},
    },
}
COMMANDS_BODY: Mapping[str, Any] = {
    "required": True,
    "content": {
        JSON: {
            "schema": {
                "description": "One command. The fields of each:",
                "anyOf": _schemas("command", [word.form for word in WORDS.values()]),
            },
            "examples": {"refuse": {"value": dict(COMMAND)}},
        }
    },
}
CONTACTS_ANSWERS: Mapping[int | str, dict[str, Any]] = {
    202: {
        "description": "Kafka has every fact. `position` goes into ?at_least= of the query application.",
        "content": {JSON: {"example": {"accepted": [_FACT], "position": _POSITION}}},
    }
}
COMMANDS_ANSWERS: Mapping[int | str, dict[str, Any]] = {
    200: {
        "description": "The desk has decided.",
        "content": {JSON: {"example": {"decisions": [_PLACE], "version": 4, "position": _POSITION}}},
    },
    202: {
        "description": "On Kafka, and not yet decided: read the card with ?at_least= of this position, or send it again unchanged.",
        "content": {JSON: {"example": {"position": _POSITION}}},
    },
}
