"""Plays a day against the intake as adapters and operators' screens would: over HTTP alone, in compressed time. Touches the network.

A few lanes, each a thread with its own connections; a contact belongs to one lane, so its messages keep their order. A lane that is late
hurries, and skips nothing.
"""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from deploy.simulator.day import DAY_S
from deploy.simulator.door import Answer, Door, GaveUp, TokenFor
from deploy.simulator.ledger import Accepted, Answered, Known, Ledger
from deploy.simulator.script import JSON, NUMBER_OF, Day, Message, Order, Step

LANES = 24
OTHER_CONTACT_LIMIT_S = 60.0
DESK_LIMIT_S = 90.0
_FIRST_DESK_WAIT_S, _LONGEST_DESK_WAIT_S = 0.2, 2.0
WATCHED_EVERY = 12  # so many messages between two whose way to the read models is timed
_WAIT_MS = 5_000
_TICKET_TRIES = 100
_TICKET_LOOK_S = 0.1
_ACCEPTED, _DECIDED, _OK = 202, 200, 200


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the two applications listen on this machine."""

    intake_port: int
    api_port: int


def play(day: Day, where: Addresses, token_for: TokenFor, contacts_per_s: float, stop: threading.Event, ledger: Ledger) -> None:
    """Play all of `day`, or until `stop` is set; what comes of it stands in `ledger`."""
    play_s = len(day.contacts) / contacts_per_s
    lanes: list[list[Step]] = [[] for _ in range(LANES)]
    lane_of = {name: index % LANES for index, name in enumerate(day.contacts)}
    for step in day.steps:
        lanes[lane_of[step.contact]].append(step)
    with ThreadPoolExecutor(LANES, thread_name_prefix="lane") as pool:
        running = [pool.submit(_Lane(where, token_for, stop, ledger).play, steps, play_s) for steps in lanes]
        for lane in running:
            lane.result()


class _Lane:
    """One thread's share of the day."""

    def __init__(self, where: Addresses, token_for: TokenFor, stop: threading.Event, ledger: Ledger) -> None:
        self._intake, self._api = Door(where.intake_port, token_for, stop), Door(where.api_port, token_for, stop)
        self._stop, self._ledger = stop, ledger
        self._sent = 0

    def play(self, steps: Sequence[Step], play_s: float) -> None:
        """Take every step when it is due, or at once when that has passed."""
        try:
            for step in steps:
                due_s = self._ledger.started_s + step.at_s / DAY_S * play_s
                if self._stop.wait(max(0.0, due_s - time.monotonic())):
                    return
                self._take(step)
                self._ledger.note_step(time.monotonic() - due_s)
        finally:
            self._intake.close()
            self._api.close()

    def _take(self, step: Step) -> None:
        try:
            if isinstance(step, Message):
                self._send(step)
            else:
                self._order(step)
        except GaveUp as gave_up:
            if not self._stop.is_set():
                what = step.event if isinstance(step, Message) else step.name
                self._ledger.note_trouble(f"{step.contact}: {what}: {gave_up}")

    def _send(self, message: Message) -> None:
        body = message.body
        if message.number_of:
            body = body.replace(NUMBER_OF.format(message.number_of).encode(), self._number_of(message.number_of, 1).encode())
        answer = self._intake.post(message.sender, f"/v1/contacts/{message.channel}", body, message.media_type)
        if answer.status != _ACCEPTED:
            self._ledger.note_trouble(
                f"{message.contact}: {message.event} answered {answer.status} {answer.rule} {answer.document.get('field', '')}"
            )
            return
        told = [
            Accepted(message, bytes.fromhex(one["event_id"]), one["type"], bytes.fromhex(one["contact_id"]))
            for one in answer.document["accepted"]
        ]
        self._ledger.note_accepted(told, answer.document["position"], answer.tries)
        self._sent += 1
        if self._sent % WATCHED_EVERY == 0:
            self._watch(told[0], answer.document["position"])

    def _watch(self, told: Accepted, position: str) -> None:
        """Time how long it takes until a reader sees what was accepted."""
        since_s = time.monotonic()
        answer = self._api.get("op-01", f"/v1/contacts/{told.contact_id.hex()}?at_least={quote(position)}&wait_ms={_WAIT_MS}")
        if answer.status == _OK:
            self._ledger.note_visible(time.monotonic() - since_s)
        else:
            self._ledger.note_trouble(f"{told.message.contact}: its contact answered {answer.status} {answer.rule}")

    def _number_of(self, contact: str, ordinal: int) -> str:
        """Read a contact's ticket number as an operator's screen does. Raises GaveUp when there is none in time."""
        known = self._ledger.known(contact, OTHER_CONTACT_LIMIT_S)
        if known is None:
            raise GaveUp(f"{contact} was not accepted in {OTHER_CONTACT_LIMIT_S:.0f} s")
        for _ in range(_TICKET_TRIES):
            if ordinal in known.numbers:
                return known.numbers[ordinal]
            self._look(known)
            if ordinal not in known.numbers and self._stop.wait(_TICKET_LOOK_S):
                break
        raise GaveUp(f"{contact} has no ticket with ordinal {ordinal}")

    def _look(self, known: Known) -> None:
        path = f"/v1/contacts/{known.contact_id.hex()}?at_least={quote(known.position)}&wait_ms={_WAIT_MS}"
        answer = self._api.get("op-01", path)
        if answer.status == _OK:
            known.numbers |= {ticket["ordinal"]: ticket["number"] for ticket in answer.document["tickets"] if ticket["ordinal"]}

    def _order(self, order: Order) -> None:
        number = order.unknown_number or self._number_of(order.contact, order.ordinal)
        said: dict[str, Any] = {"command": order.name, "ticket": number, **order.fields}
        if order.against != "none":
            version = self._version(order, number)
            said["expected_version"] = max(1, version - 1) if order.against == "stale" else version
        answer = self._ask(order, orjson.dumps(said))
        decisions = tuple((d["number"], d["version"], d["partition"], d["offset"]) for d in answer.document.get("decisions", ()))
        rule = "" if answer.status == _DECIDED else answer.rule
        self._ledger.note_answer(Answered(order, number, answer.status, rule, decisions), answer.document.get("position"), answer.tries)
        if (rule or "decided") != order.expect:
            unseen = [f"{one.get('type', '')} {one.get('version', '')}" for one in answer.document.get("events", ())]
            what = f"against version {said.get('expected_version')}; it is at {answer.document.get('version')}, unseen: {', '.join(unseen)}"
            self._ledger.note_trouble(f"{number}: {order.name} expected {order.expect}, heard {answer.status} {answer.rule} {what}")

    def _ask(self, order: Order, body: bytes) -> Answer:
        """Send an order; while the desk has not answered, send it again under its key. Raises GaveUp."""
        until_s, wait_s = time.monotonic() + DESK_LIMIT_S, _FIRST_DESK_WAIT_S
        while True:
            headers = {"Idempotency-Key": order.key}
            answer = self._intake.post(order.operator, f"/v1/commands?wait_ms={_WAIT_MS}", body, JSON, headers)
            if answer.status != _ACCEPTED or time.monotonic() > until_s or self._stop.wait(wait_s):
                return answer
            wait_s = min(2 * wait_s, _LONGEST_DESK_WAIT_S)

    def _version(self, order: Order, number: str) -> int:
        known = self._ledger.known(order.contact, 0.0)
        at_least = f"?at_least={quote(known.position)}&wait_ms={_WAIT_MS}" if known else ""
        answer = self._api.get(order.operator, f"/v1/tickets/{number}{at_least}")
        if answer.status != _OK:
            raise GaveUp(f"the card of {number} answered {answer.status} {answer.rule}")
        return int(answer.document["version"])
