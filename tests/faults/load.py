"""Callers of a running stack, several at once: new facts, repeats, broken input, commands, reads; each answer goes to the history.

What was not taken, or perhaps not, most of them repeat unchanged, as adapters do; some give up. Nothing here knows what is being done to
the stack.
"""

import http.client
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from time import monotonic
from typing import Any

from events.settings import Settings
from projectors.tokens import Token
from tests.faults.history import COMMAND, FACT, OK, REFUSED, UNKNOWN, Heard, History, Numbered
from tests.journeys.door import Answer, Door, request

_ANSWER_S = 10.0
_JOIN_S = 60.0
_loads = count(1)
_INSISTS = 0.8  # of those who were not told yes
_BROKEN, _REPEATED, _ORDERED, _READ = 0.03, 0.15, 0.35, 0.5  # shares, each up to the next; the rest are new facts
_SAID_BY_THE_DESK = ("refused", "stale-version")
_ORDERS: tuple[dict[str, object], ...] = (
    {"command": "take", "queue": "technical"},
    {"command": "ask_clarification", "question": "Какой номер заявления?"},
    {"command": "approve", "next_steps": "Приходите с паспортом"},
    {"command": "close", "resolution_code": "answered"},
    {"command": "reopen", "reason_code": "new_question"},
)


@dataclass(slots=True)
class _Sent:
    """What callers share: what they may repeat, ask of, or read."""

    facts: list[str] = field(default_factory=list)
    orders: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    insisting: list[tuple[str, str, dict[str, object]]] = field(default_factory=list)  # kind, own key, order
    accepted: list[tuple[str, Answer]] = field(default_factory=list)
    tickets: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Load:
    """Callers that ask `per_s` questions a second together, by the intakes on `ports` in turn; a context manager."""

    def __init__(self, settings: Settings, history: History, per_s: float, ports: Sequence[int] = (), callers: int = 6) -> None:
        self._settings, self._history = settings, history
        self._ports = tuple(ports) or (settings.intake_port,)
        self._pause_s = callers / per_s
        self._stop, self._resting = threading.Event(), threading.Event()
        self._sent = _Sent()
        self._prefix = f"load-{history.seed}-{next(_loads)}"
        self._threads = [threading.Thread(target=self._ask, args=(n,), name=f"caller-{n}", daemon=True) for n in range(callers)]
        self.failure: Exception | None = None

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(_JOIN_S)
        if self.failure is not None:
            raise self.failure

    def insisting_is_over(self) -> bool:
        """Say whether nobody waits for a second answer any more."""
        return not self._sent.insisting

    def rest(self, resting: bool) -> None:
        """Let callers only insist on what is open, or go on as before."""
        (self._resting.set if resting else self._resting.clear)()

    def _ask(self, number: int) -> None:
        chance = random.Random(f"{self._prefix}-{number}")
        done = 0
        try:
            while not self._stop.is_set():
                began = monotonic()
                done += 1
                self._one(chance, f"{self._prefix}-{number}-{done}")
                self._stop.wait(max(0.0, self._pause_s - (monotonic() - began)))
        except Exception as failure:  # noqa: BLE001 - raised again at the block's end
            self.failure = failure

    def _one(self, chance: random.Random, own_key: str) -> None:
        door = Door(self._settings.model_copy(update={"intake_port": chance.choice(self._ports)}), _ANSWER_S)
        with self._sent.lock:
            insists = self._sent.insisting.pop(0) if self._sent.insisting else None
        if insists:
            self._again(door, chance, *insists)
            return
        if self._resting.is_set():
            return
        lot = chance.random()
        with self._sent.lock:
            fact = chance.choice(self._sent.facts) if self._sent.facts else ""
            order = chance.choice(self._sent.orders) if self._sent.orders else None
            ticket = chance.choice(self._sent.tickets) if self._sent.tickets else ""
        if lot < _BROKEN:
            self._give(door, chance, own_key, occurred_at="yesterday")
        elif lot < _REPEATED and fact:
            self._give(door, chance, fact)
        elif lot < _ORDERED and ticket:
            if order and chance.random() < 0.2:
                self._order(door, chance, *order)
            else:
                self._order(door, chance, own_key, {**chance.choice(_ORDERS), "ticket": ticket})
        elif lot < _READ:
            self._read(door, chance)
        else:
            self._give(door, chance, own_key)

    def _again(self, door: Door, chance: random.Random, kind: str, own_key: str, order: dict[str, object]) -> None:
        if kind == FACT:
            self._give(door, chance, own_key)
        else:
            self._order(door, chance, own_key, order)

    def _give(self, door: Door, chance: random.Random, own_key: str, **said: object) -> None:
        began, at_s = monotonic(), self._history.now_s()
        answer = _asked(lambda: door.give("cabinet", request(own_key, **said)))
        heard = heard_of(own_key, answer, at_s, round(monotonic() - began, 3))
        self._history.note(heard)
        with self._sent.lock:
            if heard.outcome == OK and own_key not in self._sent.facts:
                self._sent.facts.append(own_key)
                self._sent.accepted.append((own_key, answer))
            if heard.outcome != OK and not said and chance.random() < _INSISTS:
                self._sent.insisting.append((FACT, own_key, {}))

    def _order(self, door: Door, chance: random.Random, own_key: str, order: dict[str, object]) -> None:
        began, at_s = monotonic(), self._history.now_s()
        wait_ms = chance.choice((0, 500, 2_000))
        answer = _asked(lambda: door.order(own_key, wait_ms, **order))
        outcome = outcome_of(answer)
        told = tuple((d["number"], d["version"], d["partition"], d["offset"]) for d in answer.document.get("decisions", ()))
        heard = Heard(at_s, round(monotonic() - began, 3), COMMAND, own_key, outcome, answer.status, "", decisions=told)
        self._history.note(heard)
        with self._sent.lock:
            if outcome == OK and (own_key, order) not in self._sent.orders:
                self._sent.orders.append((own_key, order))
            if outcome != OK and chance.random() < _INSISTS:
                self._sent.insisting.append((COMMAND, own_key, order))

    def _read(self, door: Door, chance: random.Random) -> None:
        """Look for the number of an accepted contact's ticket; whoever is not there yet is looked for again later."""
        with self._sent.lock:
            if not self._sent.accepted:
                return
            own_key, accepted = self._sent.accepted.pop(chance.randrange(len(self._sent.accepted)))
        contact, position = accepted.document["accepted"][0]["contact_id"], accepted.document["position"]
        answer = _asked(lambda: door.read(f"/v1/contacts/{contact}", position))
        tickets = [ticket["number"] for ticket in answer.document.get("tickets", ())] if answer.status == http.HTTPStatus.OK else []
        for number in tickets:
            self._history.note(Numbered(self._history.now_s(), own_key, number))
        with self._sent.lock:
            self._sent.tickets += tickets
            if not tickets:
                self._sent.accepted.append((own_key, accepted))


def _asked(ask: Any) -> Answer:
    """Return the answer; status 0 when the connection broke, and -1 when there was none: nobody heard the question."""
    try:
        answer: Answer = ask()
    except ConnectionRefusedError:
        return Answer(-1, {})
    except (OSError, http.client.HTTPException, ValueError):
        return Answer(0, {})
    return answer


def heard_of(own_key: str, answer: Answer, at_s: float = 0.0, took_s: float = 0.0) -> Heard:
    """Return what the caller who brought one form to the cabinet was told."""
    outcome = outcome_of(answer)
    accepted = answer.document.get("accepted", ()) if outcome == OK else ()
    places = tuple((*partition, offset) for partition, offset in Token.parse(answer.document["position"]).items()) if accepted else ()
    ids = tuple(one["event_id"] for one in accepted)
    return Heard(at_s, took_s, FACT, own_key, outcome, answer.status, "cabinet", ids, places)


def outcome_of(answer: Answer) -> str:
    """Return what an answer of the intake means for what was asked."""
    if answer.status in (http.HTTPStatus.OK, http.HTTPStatus.ACCEPTED) or answer.document.get("type") in _SAID_BY_THE_DESK:
        return OK
    if answer.status in (0, http.HTTPStatus.GATEWAY_TIMEOUT, http.HTTPStatus.INTERNAL_SERVER_ERROR):
        return UNKNOWN
    return REFUSED
