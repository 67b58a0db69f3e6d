"""Stories of letters: Cyrillic charsets, nested parts, files, HTML alone, missing things, automatic replies, bounces (R76-R93, G28).

Beside those made here a day brings some of the letters written by hand that lie in the folder `by_hand`.
"""

import html
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from functools import cache
from pathlib import Path
from typing import Any

from deploy.simulator.script import LETTER, Clear, Message
from deploy.simulator.stories import mime
from deploy.simulator.stories.scene import Scene, kept

SUPPORT = "support@hotline.example"
_FOLDER = Path(__file__).parent / "by_hand"
_CHARSETS = {
    "ru": {("utf-8", "base64"): 45, ("windows-1251", "quoted-printable"): 25, ("koi8-r", "8bit"): 15, ("windows-1251", "8bit"): 15},
    "tt": {("utf-8", "base64"): 60, ("utf-8", "8bit"): 40},
    "en": {("us-ascii", "quoted-printable"): 50, ("utf-8", "8bit"): 50},
}
_REGARDS = {"ru": "С уважением,", "en": "Kind regards,", "tt": "Хөрмәт белән,"}
_CALL_ME = {"ru": "тел.", "en": "Phone:", "tt": "Телефон:"}
_KOI8_LACKS = str.maketrans({"«": '"', "»": '"', "—": "-", "„": '"', "“": '"'})
_BY_HAND_PERCENT = 10


@dataclass(slots=True)
class _Draft:
    """A letter before it is written down."""

    scene: Scene
    charset: str
    encoding: str
    name: str = field(repr=False)
    phone: str = field(repr=False)
    subject: str = field(repr=False)
    ask: str = field(repr=False)
    clear: dict[str, str | bytes] = field(default_factory=dict, repr=False)
    headers: list[str] = field(default_factory=list, repr=False)

    @property
    def text(self) -> str:
        """What stands in the letter."""
        language = self.scene.person.language
        signed = [line for line in (self.name, f"{_CALL_ME[language]} {self.phone}" if self.phone else "") if line]
        return "\n".join([self.ask, "", _REGARDS[language], *signed]) + "\n" if self.ask else ""

    def edge(self, depth: int) -> str:
        """Return a boundary of its own."""
        return f"=_{self.scene.own_id}_{depth}"

    def plain(self) -> bytes:
        """Return the text as a part."""
        return mime.text_part(self.text, self.charset, self.encoding)

    def marked_up(self) -> bytes:
        """Return the text as HTML."""
        lines = "<br>".join(html.escape(line) for line in self.text.splitlines())
        page = f"<html><head><style>p {{ color: #222 }}</style></head><body><p>{lines}</p></body></html>"
        return mime.text_part(page, self.charset, self.encoding, "html")

    def file(self, place: int, name: str, media_type: str, disposition: str = "attachment") -> bytes:
        """Return a file as a part and remember it."""
        content = (b"%PDF-1.4\n" if media_type == "application/pdf" else b"\xff\xd8\xff\xe0\x00\x10JFIF") + self.scene.dice.content(
            400, 6000
        )
        self.clear |= {f"file:{place}": content, f"file_name:{place}": name}
        return mime.file_part(name, media_type, content, disposition)


def _only_text(draft: _Draft) -> bytes:
    return draft.plain()


def _only_html(draft: _Draft) -> bytes:
    return draft.marked_up()


def _alternative(draft: _Draft) -> bytes:
    return mime.multipart("alternative", draft.edge(1), (draft.plain(), draft.marked_up()))


def _with_scan(draft: _Draft) -> bytes:
    return mime.multipart("mixed", draft.edge(1), (draft.plain(), draft.file(1, "скан паспорта.pdf", "application/pdf")))


def _with_photographs(draft: _Draft) -> bytes:
    photographs = tuple(draft.file(place, f"IMG_{place:04}.jpg", "image/jpeg") for place in (1, 2))
    return mime.multipart("mixed", draft.edge(1), (draft.plain(), *photographs))


def _nested(draft: _Draft) -> bytes:
    related = mime.multipart("related", draft.edge(3), (draft.marked_up(), draft.file(1, "logo.jpg", "image/jpeg", "inline")))
    alternative = mime.multipart("alternative", draft.edge(2), (draft.plain(), related))
    return mime.multipart("mixed", draft.edge(1), (alternative, draft.file(2, "заявление.pdf", "application/pdf")))


def _automatic(draft: _Draft) -> bytes:
    draft.headers.append("Auto-Submitted: auto-replied")
    draft.subject = f"Автоответ: {draft.subject}"
    return draft.plain()


def _bounce(draft: _Draft) -> bytes:
    draft.headers.append("Return-Path: <>")
    report = mime.entity(
        ["Content-Type: message/delivery-status"], b"Reporting-MTA: dns; mail.example\r\n\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    )
    return mime.multipart("report", draft.edge(1), (draft.plain(), report), "; report-type=delivery-status")


SHAPES: Mapping[str, Callable[[_Draft], bytes]] = {
    "only_text": _only_text,
    "only_html": _only_html,
    "alternative": _alternative,
    "with_scan": _with_scan,
    "with_photographs": _with_photographs,
    "nested": _nested,
    "automatic": _automatic,
    "bounce": _bounce,
}
_HOW_OFTEN = {
    "only_text": 34, "only_html": 12, "alternative": 20, "with_scan": 12, "with_photographs": 6, "nested": 8, "automatic": 5, "bounce": 3,
}  # fmt: skip
_NOT_FROM_PEOPLE = ("automatic", "bounce")
_MISSING = {"": 84, "name": 5, "phone": 8, "text": 3}


def tell_letter(scene: Scene) -> None:
    """Tell one letter; a part of them was written by hand."""
    if scene.dice.happens(_BY_HAND_PERCENT):
        _by_hand(scene, scene.dice.one_of(sorted(by_hand())))
        return
    shape = scene.dice.by_weight(_HOW_OFTEN)
    missing = scene.dice.by_weight(_MISSING) if shape not in _NOT_FROM_PEOPLE else ""
    draft = _draft(scene, missing)
    if not draft.ask:
        shape = "with_scan"
    body = SHAPES[shape](draft)
    raw = mime.letter([*_traces(scene), *draft.headers, *_head(draft)], body)
    said = {"sender": scene.person.email, "name": draft.name, "phone": draft.phone if draft.ask else "", "subject": draft.subject}
    _send(scene, raw, {**kept(**said, text=draft.text.rstrip("\n")), "file:0": raw, **draft.clear})
    scene.tickets = 0 if shape in _NOT_FROM_PEOPLE else 1


def _draft(scene: Scene, missing: str) -> _Draft:
    charset, encoding = scene.dice.by_weight(_CHARSETS[scene.person.language])
    ask = f"{scene.phrase('greetings')}\n\n{scene.asked()} {scene.phrase('wishes')}"
    if scene.dice.happens(40):
        ask += f"\n{scene.person.address}"
    if charset == "koi8-r":
        ask = ask.translate(_KOI8_LACKS)
    name, phone = "" if missing == "name" else scene.person.name, "" if missing == "phone" else scene.person.phone
    subject = scene.dice.one_of(scene.theme.subjects)
    return _Draft(scene, charset, encoding, name, phone, subject, "" if missing == "text" else ask)


def _head(draft: _Draft) -> list[str]:
    scene = draft.scene
    return [
        f"From: {mime.mailbox(draft.name, scene.person.email, draft.charset)}",
        f"To: {SUPPORT}",
        f"Subject: {mime.words(draft.subject, draft.charset)}",
        f"Date: {_date(scene)}",
        f"Message-ID: {_message_id(scene)}",
    ]


def _date(scene: Scene) -> str:
    return format_datetime(datetime.fromisoformat(scene.moment()))


def _message_id(scene: Scene) -> str:
    return f"<{scene.own_id}@{scene.person.email.partition('@')[2]}>"


def _traces(scene: Scene) -> list[str]:
    """What servers write into the head; another delivery of the same letter has others."""
    hop = scene.dice.between(100000, 999999)
    return [f"Received: from mail.example by mx.hotline.example with ESMTPS id {hop}; {_date(scene)}"]


def redelivered(raw: bytes, hop: int) -> bytes:
    """Return the letter as a server delivers it once more: another trace in front, the rest unchanged."""
    return f"Received: from relay.example by mx.hotline.example with LMTP id {hop}\r\n".encode() + raw


def _send(scene: Scene, raw: bytes, clear: Clear) -> None:
    scene.steps.append(Message(scene.now_s, scene.name, "email", "LetterReceived", "adapter", raw, LETTER, clear))


@cache
def by_hand() -> Mapping[str, Mapping[str, Any]]:
    """The letters written by hand: by file name, what is known of each."""
    return tomllib.loads((_FOLDER / "known.toml").read_text(encoding="utf-8"))


def _by_hand(scene: Scene, name: str) -> None:
    """One of those; only its id and date are made this day's."""
    known = by_hand()[name]
    raw = (_FOLDER / name).read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    raw = re.sub(rb"(?mi)^Message-ID: [^\r]*", b"Message-ID: " + _message_id(scene).encode(), raw, count=1)
    raw = re.sub(rb"(?m)^Date: [^\r]*", b"Date: " + _date(scene).encode(), raw, count=1)
    _send(scene, raw, {**known["clear"], "file:0": raw})
    scene.tickets = 1 if known["opens_ticket"] else 0
