"""One contact while its story is told: who, where, when, and the steps told so far. The stories themselves stand in files of their own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

from deploy.simulator.script import ADAPTER, JSON, Clear, Message, Order, Planned, Step
from deploy.simulator.stories.chances import Dice
from deploy.simulator.stories.people import Person
from deploy.simulator.stories.texts import Texts, Theme

_MOSCOW_MIN = 180


@dataclass(slots=True)
class Scene:
    """One contact. `now_s`: seconds since the day's midnight; a story moves it on and never back."""

    dice: Dice
    on: date
    name: str  # the script's own name of the contact
    own_id: str  # the channel's
    channel: str
    now_s: float
    person: Person
    texts: Texts
    theme: Theme
    operator: str
    offset_min: int = _MOSCOW_MIN
    tickets: int = 0
    steps: list[Step] = field(default_factory=list)
    counted: int = 0

    def wait(self, least_s: float, most_s: float) -> None:
        """Let time pass."""
        self.now_s += self.dice.span_s(least_s, most_s)

    def moment(self, at_s: float | None = None) -> str:
        """Return a moment as this channel's adapter writes it."""
        zone = timezone(timedelta(minutes=self.offset_min))
        midnight = datetime.combine(self.on, time(), timezone(timedelta(minutes=_MOSCOW_MIN)))
        at = midnight + timedelta(seconds=self.now_s if at_s is None else at_s)
        return at.astimezone(zone).isoformat(timespec="milliseconds")

    def next_id(self, kind: str) -> str:
        """Return an own id for one message of this contact."""
        self.counted += 1
        return f"{kind}-{self.own_id}-{self.counted}"

    def phrase(self, kind: str) -> str:
        """Return one phrase of a kind in the person's language."""
        return self.texts.phrase(kind, self.dice, self.person.city)

    def asked(self) -> str:
        """Return what the person wants, in his own words."""
        return self.texts.fill(self.dice.one_of(self.theme.asks), self.dice, self.person.city)

    def answered(self) -> str:
        """Return an operator's answer to it."""
        return self.texts.fill(self.dice.one_of(self.theme.answers), self.dice, self.person.city)

    def send(
        self,
        event: str,
        document: Mapping[str, Any],
        clear: Clear,
        *,
        channel: str = "",
        sender: str = ADAPTER,
        number_of: str | None = None,
    ) -> None:
        """Add a message in JSON."""
        body = json.dumps(document, ensure_ascii=False).encode()
        self.steps.append(Message(self.now_s, self.name, channel or self.channel, event, sender, body, JSON, clear, number_of))

    def order(self, name: str, *, ordinal: int = 1, against: str = "current", expect: str = "decided", **fields: str) -> Order:
        """Add an operator's command about a ticket of this contact."""
        step = Order(self.now_s, self.name, ordinal, self.operator, name, self.next_id("cmd"), fields, against, expect=expect)
        self.steps.append(step)
        return step

    def planned(self) -> Planned:
        """What is known of it beforehand."""
        return Planned(self.name, self.channel, self.person.language, self.theme.code, self.tickets)


def kept(**words: str) -> dict[str, str]:
    """The fields that say something: an empty one is not sealed."""
    return {name: said for name, said in words.items() if said.strip()}
