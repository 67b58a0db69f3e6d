"""One good message of each kind, as an adapter would write it."""

import base64
from typing import Any

Message = dict[str, Any]
AT = "2025-03-14T09:26:53.120+03:00"
AT_US = 1_741_933_613_120_000
CALL, CHAT = "20250314-092653-0017", "c-2041"
PNG = base64.b64encode(b"\x89PNG not quite").decode()

STARTED: Message = {"event": "started", "call": CALL, "occurred_at": AT, "line": "federal", "phone": "+7 916 123-45-67", "country": "RU"}
ANSWERED: Message = {"event": "answered", "call": CALL, "occurred_at": AT, "queue": "federal", "operator": "op-17"}
TRANSFERRED: Message = {"event": "transferred", "call": CALL, "occurred_at": AT, "target_kind": "queue", "target": "account.access"}
ENDED: Message = {"event": "ended", "call": CALL, "occurred_at": AT, "ending": "completed", "wait_s": 17, "talk_s": 270}
RECORDED: Message = {"event": "recording_stored", "call": CALL, "occurred_at": AT, "duration_s": 270, "content_base64": PNG}
NOTED: Message = {
    "event": "noted",
    "call": CALL,
    "id": "n-551",
    "occurred_at": AT,
    "operator": "op-17",
    "disposition": "registered",
    "kind": "consultation",
    "topic": "documents",
    "language": "ru",
    "name": "Иванова Мария Петровна",
    "phone": "+7 916 123-45-67",
    "email": "m.ivanova@example.ru",
    "text": "Спрашивает, какие документы нужны для замены паспорта",
}
OPENED: Message = {"event": "opened", "chat": CHAT, "id": "1", "occurred_at": AT, "language": "tt", "name": "Айгөл"}
POSTED: Message = {"event": "message", "chat": CHAT, "id": "2", "occurred_at": AT, "from": "citizen", "text": "Исәнмесез!", "ordinal": 2}
FILE: Message = {
    "event": "file",
    "chat": CHAT,
    "id": "3",
    "occurred_at": AT,
    "from": "citizen",
    "name": "снимок.png",
    "content_base64": PNG,
}
LINK: Message = {"event": "file", "chat": CHAT, "id": "4", "occurred_at": AT, "from": "operator:op-21", "link": "https://example.ru/help"}
CLOSED: Message = {"event": "closed", "chat": CHAT, "id": "5", "occurred_at": AT, "ending": "by_citizen"}
CHAT_NOTED: Message = {
    **{name: value for name, value in NOTED.items() if name != "call"},
    "chat": CHAT,
    "id": "n-552",
    "disposition": "belongs_to",
    "ticket": "RU-2025-001234",
}
FORM: Message = {
    "id": "f-77120",
    "occurred_at": AT,
    "cabinet_id": "1000299353",
    "category": "technical",
    "topic": "sign_in",
    "service": "passport",
    "reply_by": "call",
    "language": "ru",
    "name": "Петров Илья",
    "phone": "8 (495) 123-45-67",
    "email": "petrov@example.ru",
    "text": "Не открывается форма заявления",
    "files": [{"name": "ошибка.png", "media_type": "image/png", "content_base64": PNG}],
}
BY_PHONE: Message = {
    "id": "k-310",
    "by": "phone",
    "call": CALL,
    "taken_by": "op-30",
    "occurred_at": AT,
    "violation": "rudeness",
    "wanted": "apology",
    "call_at": "2025-03-13T18:40:00+03:00",
    "about_ticket": "RU-2025-001200",
    "operator_name": "Сергей Степанович",
    "name": "Сидорова Анна",
    "phone": "+7 903 765-43-21",
    "text": "Оператор бросил трубку",
}
BY_FORM: Message = {"id": "k-311", "by": "form", "occurred_at": AT, "violation": "other", "email": "j.smith@example.com"}
ON_PAPER: Message = {
    "id": "k-312",
    "by": "paper",
    "taken_by": "op-30",
    "occurred_at": AT,
    "violation": "service_refused",
    "signature_kind": "handwritten",
    "signed_on": "2025-03-10",
    "files": [{"content_base64": PNG}],
}

GOOD: tuple[tuple[str, Message, str], ...] = (
    ("phone", STARTED, "CallStarted"),
    ("phone", ANSWERED, "CallAnswered"),
    ("phone", TRANSFERRED, "CallTransferred"),
    ("phone", ENDED, "CallEnded"),
    ("phone", RECORDED, "RecordingStored"),
    ("phone", NOTED, "ContactNoted"),
    ("chat", OPENED, "ChatOpened"),
    ("chat", POSTED, "ChatMessagePosted"),
    ("chat", FILE, "ChatFileOffered"),
    ("chat", LINK, "ChatFileOffered"),
    ("chat", CLOSED, "ChatClosed"),
    ("chat", CHAT_NOTED, "ContactNoted"),
    ("cabinet", FORM, "CabinetRequestFiled"),
    ("complaint", BY_PHONE, "ComplaintFiled"),
    ("complaint", BY_FORM, "ComplaintFiled"),
    ("complaint", ON_PAPER, "ComplaintFiled"),
)
