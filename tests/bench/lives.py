"""Believable lives of tickets as decisions, in the order in which a desk would have made them. From a seed; sealed as the intake seals."""

import heapq
from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Any

from events.envelope import Decision
from events.tickets import (
    ClarificationAsked,
    ClarificationReceived,
    TicketApproved,
    TicketClosed,
    TicketDetailsAdded,
    TicketRefused,
    TicketRegistered,
    TicketReopened,
    TicketTaken,
)
from events.vault.keys import PartyKey
from events.vault.sealing import Sealer

_FIRST_AT_US = 1_741_933_613_120_000
_BETWEEN_TICKETS_US = 400_000
_BETWEEN_STEPS_US = 600_000_000  # on average: a ticket's steps lie among those of many others
_PARTIES_REMEMBERED = 50_000

#: What happens after registration, and how often of a hundred.
_COURSES: tuple[tuple[int, tuple[type[Decision], ...]], ...] = (
    (45, (TicketTaken, TicketClosed)),
    (15, (TicketDetailsAdded, TicketTaken, TicketClosed)),
    (12, (TicketTaken, ClarificationAsked, ClarificationReceived, TicketApproved, TicketClosed)),
    (10, (TicketTaken, TicketApproved, TicketClosed)),
    (8, (TicketTaken, TicketRefused)),
    (5, (TicketTaken, TicketClosed, TicketReopened, TicketClosed)),
    (3, (TicketTaken,)),
    (2, ()),
)
_TOPICS = ("account.locked", "password.lost", "passport.renewal", "benefits.children", "certificate.residence", "portal.error")
_WORDS = "не могу войти в личный кабинет после смены номера телефона, код подтверждения не приходит, помогите восстановить доступ "


class _RandomKeys:
    """A stock of keys that no vault knows; nothing sealed with them is ever opened."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice

    def take(self) -> PartyKey:
        """Return a fresh key."""
        return PartyKey(self._dice.randbytes(16), self._dice.randbytes(32))


class Lives:
    """Makes decisions of ever new tickets; the same seed makes the same ones but for the nonces of their seals."""

    def __init__(self, seed: int = 20250314) -> None:
        self._dice = Random(seed)
        self._sealer = Sealer(_RandomKeys(self._dice), _PARTIES_REMEMBERED)
        self._courses = [course for weight, course in _COURSES for _ in range(weight)]

    def decisions(self, most: int) -> list[Decision]:
        """Return the first `most` decisions."""
        return [decision for decision, _ in zip(self.endless(), range(most), strict=False)]

    def endless(self) -> Iterator[Decision]:
        """Yield decisions for ever. Tickets open one after the other; their next steps wait on a heap for their time."""
        waiting: list[tuple[int, int, Iterator[Decision]]] = []
        for place in count(1):
            now_us = _FIRST_AT_US + place * _BETWEEN_TICKETS_US
            while waiting and waiting[0][0] < now_us:
                due_us, rank, life = heapq.heappop(waiting)
                if (decision := next(life, None)) is not None:
                    yield decision
                    heapq.heappush(waiting, (due_us + self._pause_us(), rank, life))
            life = self._life(place, now_us)
            yield next(life)
            heapq.heappush(waiting, (now_us + self._pause_us(), place, life))

    def _pause_us(self) -> int:
        return int(self._dice.expovariate(1) * _BETWEEN_STEPS_US) + 1

    def _life(self, place: int, opened_at: int) -> Iterator[Decision]:
        number, contact_id = f"RU-2025-{place:06d}", self._dice.randbytes(16)
        cycle, at = 1, opened_at
        course: tuple[type[Decision], ...] = (TicketRegistered, *self._dice.choice(self._courses))
        for version, kind in enumerate(course, start=1):
            at += self._pause_us()
            cycle += kind is TicketReopened
            event_id = self._dice.randbytes(16)
            yield kind(**self._envelope(event_id, number, version, cycle, at), **self._body(kind, contact_id, event_id, opened_at))

    def _envelope(self, event_id: bytes, number: str, version: int, cycle: int, at: int) -> dict[str, Any]:
        return {
            "event_id": event_id,
            "occurred_at": at,
            "occurred_offset_min": 180,
            "received_at": at + 40_000,
            "recorded_at": at + 60_000,
            "number": number,
            "version": version,
            "cycle": cycle,
            "era": 1,
            "cause_id": self._dice.randbytes(16),
            "cause_ordinal": 1,
            "cause_count": 1,
            "actor": "citizen" if version == 1 else f"operator:{self._dice.randrange(1, 900)}",
            "reference_version": 1,
        }

    def _body(self, kind: type[Decision], contact_id: bytes, event_id: bytes, opened_at: int) -> dict[str, Any]:
        def sealed(field: str, clear: str) -> bytes:
            return self._sealer.seal(contact_id, "citizen", event_id, field, clear)

        if kind is TicketRegistered:
            return self._registered(
                contact_id, opened_at, sealed("name", "Иванова Анна Сергеевна"), sealed("phone", "+79161234567"), sealed
            )
        bodies: dict[type[Decision], dict[str, Any]] = {
            TicketDetailsAdded: {**_KNOWN, "topic": self._topic(), "name": None, "phone": None, "email": None},
            TicketTaken: {"queue": self._dice.choice(("accounts", "documents", "benefits", "portal"))},
            ClarificationAsked: {"question_code": ""},
            ClarificationReceived: {"contact_id": contact_id},
            TicketRefused: {"reason_code": "documents.incomplete", "appeal_route": "court"},
            TicketClosed: {"resolution_code": "answered", "merged_into": None},
            TicketReopened: {"reason_code": "new_question"},
        }
        text_of = {TicketDetailsAdded: "text", ClarificationAsked: "question", ClarificationReceived: "text", TicketApproved: "next_steps"}
        field = text_of.get(kind, "explanation" if kind is not TicketTaken else "")
        return {**bodies.get(kind, {}), **({field: sealed(field, self._text())} if field else {})}

    def _registered(self, contact_id: bytes, opened_at: int, name: bytes, phone: bytes, sealed: Any) -> dict[str, Any]:
        own = {"contact_id": contact_id, "ordinal": 1, "opened_at": opened_at, "opened_offset_min": 180}
        way = {"channel": self._dice.choice(("phone", "phone", "chat", "email", "cabinet")), "line": "federal", "topic": self._topic()}
        email = sealed("email", "a.ivanova@example.org") if self._dice.random() < 0.4 else None
        return {**_KNOWN, **own, **way, "name": name, "phone": phone, "email": email, "text": sealed("text", self._text())}

    def _topic(self) -> str:
        return self._dice.choice(_TOPICS)

    def _text(self) -> str:
        return (_WORDS * 2)[: self._dice.randrange(60, 170)]


_KNOWN = {"kind": "request", "language": "ru", "has_name": True, "has_phone": True, "has_text": True}
