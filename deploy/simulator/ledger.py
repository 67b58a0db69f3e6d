"""What the player was told: accepted, refused, given up; kept for the checks afterwards. Shared by its threads."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from deploy.simulator.script import Day, Message, Order


@dataclass(frozen=True, slots=True)
class Accepted:
    """One event that the intake took, and which message it was."""

    message: Message
    event_id: bytes
    type: str
    contact_id: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """What an operator heard of an order. `rule` is empty when it was decided."""

    order: Order
    number: str
    status: int
    rule: str
    decisions: tuple[tuple[str, int, int, int], ...]  # number, version, partition, offset


@dataclass(slots=True)
class Known:
    """One contact as an adapter knows it: its id, and the position after its latest message or command."""

    contact_id: bytes
    position: str
    numbers: dict[int, str] = field(default_factory=dict)  # by ordinal


class Ledger:
    """Grows while a day is played."""

    def __init__(self, day: Day) -> None:
        self.day = day
        self.accepted: list[Accepted] = []
        self.answered: list[Answered] = []
        self.troubles: list[str] = []  # what was refused or not answered although it should not have been
        self.visible_s: list[float] = []  # from "accepted" to an answer of the query application that includes it
        self.repeated_requests = 0
        self.steps_done = 0
        self.behind_s = 0.0  # the worst lag behind the script
        self.started_s = time.monotonic()
        self.first_accepted_s: float | None = None
        self._known: dict[str, Known] = {}
        self._changed = threading.Condition()

    def note_accepted(self, told: list[Accepted], position: str, tries: int) -> None:
        """Keep what a request brought."""
        with self._changed:
            if self.first_accepted_s is None:
                self.first_accepted_s = time.monotonic()
            self.accepted += told
            self.repeated_requests += tries - 1
            for one in told:
                known = self._known.setdefault(one.message.contact, Known(one.contact_id, position))
                known.position = position
            self._changed.notify_all()

    def note_answer(self, answered: Answered, position: str | None, tries: int) -> None:
        """Keep what became of an order."""
        with self._changed:
            self.answered.append(answered)
            self.repeated_requests += tries - 1
            known = self._known.get(answered.order.contact)
            if known and position and answered.decisions:
                known.position = position

    def note_trouble(self, line: str) -> None:
        """Keep what should not have happened."""
        with self._changed:
            self.troubles.append(line)

    def note_step(self, behind_s: float) -> None:
        """Count a step, and how late it was."""
        with self._changed:
            self.steps_done += 1
            self.behind_s = max(self.behind_s, behind_s)

    def note_visible(self, after_s: float) -> None:
        """Keep how long something accepted took to be seen."""
        with self._changed:
            self.visible_s.append(after_s)

    def known(self, contact: str, timeout_s: float) -> Known | None:
        """Return a contact once it is known; None when it is not in time."""
        with self._changed:
            self._changed.wait_for(lambda: contact in self._known, timeout_s)
            return self._known.get(contact)

    def contacts(self) -> dict[str, Known]:
        """All contacts the intake took anything of."""
        with self._changed:
            return dict(self._known)

    def refused(self) -> Counter[str]:
        """Refused orders by rule."""
        return Counter(one.rule for one in self.answered if one.rule)
