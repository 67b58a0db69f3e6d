"""A fact or a command, its token, a read with that token, thousands of times against a desk and projectors that are slowed on purpose.

`python -m tests.faults.tokens --times 10000` starts a whole stack, prints the figures and fails when one answer was stale.
"""

import argparse
import random
import secrets
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from urllib.parse import quote

import psycopg

from events.settings import Settings
from tests.journeys.door import Answer, Door, request
from tests.journeys.stacks import whole_stack

WAIT_MS = 500
LONGEST_TURN_S = 60.0
BEYOND_S = 10.0  # what an answer may take beyond the wait that was asked for, on a machine that is busy
SLOWEST_S = 0.15
ORDERS_PER_TICKET = 4
_OK, _NOT_IN_TIME = 200, 503
_LETTERS = str.maketrans("0123456789", "ghijklmnop")  # a code has few digits, or it might be a phone number
SLOWED = ("desk_v1", "outcomes_v1", "ticket_status_v1", "ticket_versions_v1", "audit_log_v1", "contacts_v1")


@dataclass
class Figures:
    """What was seen; shared by all who ask."""

    turns: Counter[str] = field(default_factory=Counter)  # by what was asked first
    reads: Counter[str] = field(default_factory=Counter)  # by door
    late: int = 0  # reads that were told "not reached" and asked again
    stale: list[str] = field(default_factory=list)
    longest_answer_s: float = 0.0
    longest_turn_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def said(self, took_s: float) -> str:
        """Return the figures as one line."""
        turns, reads = (", ".join(f"{n} {name}" for name, n in sorted(c.items())) for c in (self.turns, self.reads))
        return (
            f"{sum(self.turns.values())} turns ({turns}) in {took_s:.0f} s; stale answers {len(self.stale)}; reads: {reads}; told 'not "
            f"reached' {self.late} times; longest answer {self.longest_answer_s:.2f} s of at most {WAIT_MS / 1000 + BEYOND_S:.1f}; longest "
            f"turn {self.longest_turn_s:.2f} s"
        )


@contextmanager
def slowed(database: str, consumers: tuple[str, ...] = SLOWED, slowest_s: float = SLOWEST_S) -> Iterator[None]:
    """Let each step of `consumers` take up to `slowest_s` longer inside the block, each time another while."""
    with psycopg.connect(database, autocommit=True) as db:
        named = ", ".join(f"'{name}'" for name in consumers)
        db.execute(
            f"""
            CREATE OR REPLACE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN PERFORM pg_sleep(random() * {slowest_s} / 3); RETURN NEW; END $$;
            CREATE OR REPLACE TRIGGER slow BEFORE UPDATE ON position FOR EACH ROW
                WHEN (NEW.next_offset <> OLD.next_offset AND NEW.consumer IN ({named})) EXECUTE FUNCTION take_time();
            """
        )
    try:
        yield
    finally:
        with psycopg.connect(database, autocommit=True) as db:
            db.execute("DROP TRIGGER slow ON position; DROP FUNCTION take_time()")


class _Asker:
    """One operator with tickets of his own: he knows which version each has once what he asked for is done."""

    def __init__(self, settings: Settings, name: str, figures: Figures) -> None:
        self._door, self._name, self._figures = Door(settings), name, figures
        self._chance = random.Random(name)
        self._number, self._version, self._queue, self._contact = "", 0, "", ""
        self._said = 0

    def turn(self) -> None:
        """Say one thing, and read it back with the token that was given for it."""
        began = monotonic()
        fact = not self._number or self._version > ORDERS_PER_TICKET
        (self._give if fact else self._order)()
        with self._figures.lock:
            self._figures.turns["facts" if fact else "commands"] += 1
            self._figures.longest_turn_s = max(self._figures.longest_turn_s, monotonic() - began)

    def _give(self) -> None:
        self._said += 1
        accepted = self._timed("fact", lambda: self._door.give("cabinet", request(f"{self._name}-{self._said}")))
        assert accepted.status == 202, accepted
        self._contact = accepted.document["accepted"][0]["contact_id"]
        answer = self._read("contact", f"/v1/contacts/{self._contact}", accepted.document["position"])
        tickets = [ticket["number"] for ticket in answer.document["tickets"]]
        if len(tickets) != 1:
            self._stale(f"contact {self._contact}: {len(tickets)} tickets")
            return
        self._number, self._version = tickets[0], 1
        self._check(accepted.document["position"])

    def _order(self) -> None:
        self._said += 1
        order: dict[str, object] = {"command": "ask_clarification", "question": "Какой номер заявления?"}
        if self._version % 2:
            self._queue = f"queue-{self._name}-{self._said}".translate(_LETTERS)
            order = {"command": "take", "queue": self._queue}
        wait_ms = self._chance.choice((0, 0, 50, 2_000))
        key = f"{self._name}-{self._said}"
        ordered = self._timed("command", lambda: self._door.order(key, wait_ms, ticket=self._number, **order))
        assert ordered.status in (200, 202), ordered
        self._version += 1
        self._check(ordered.document["position"])

    def _check(self, token: str) -> None:
        """Read the ticket through some door, once it includes what the token includes: that version, or the answer is stale."""
        number, now = self._number, quote("2100-01-01T00:00:00Z")
        doors = {
            "card": f"/v1/tickets/{number}",
            "card as of": f"/v1/tickets/{number}?as_of={now}",
            "history": f"/v1/tickets/{number}/history",
            "list": f"/v1/tickets?queue={self._queue}" if self._version > 1 else f"/v1/tickets/{number}",
            "list as of": f"/v1/tickets?queue={self._queue}&as_of={now}" if self._version > 1 else f"/v1/tickets/{number}?as_of={now}",
        }
        name = self._chance.choice(list(doors))
        document = self._read(name, doors[name], token).document
        rows = document.get("rows", [document])
        version = max((row["version"] for row in rows if row.get("number", number) == number), default=0)
        if version != self._version:
            self._stale(f"{name} of {number}: version {version} instead of {self._version}")

    def _read(self, name: str, address: str, token: str) -> Answer:
        until_s = monotonic() + LONGEST_TURN_S
        joint = "&" if "?" in address else "?"
        while True:
            answer = self._timed(name, lambda: self._door.read(f"{address}{joint}wait_ms={WAIT_MS}", token))
            if answer.status == _OK:
                with self._figures.lock:
                    self._figures.reads[name] += 1
                return answer
            assert (answer.status, answer.document["type"]) == (_NOT_IN_TIME, "not-reached"), (name, answer)
            assert monotonic() < until_s, f"{name}: not reached within {LONGEST_TURN_S} s"
            with self._figures.lock:
                self._figures.late += 1

    def _timed(self, name: str, ask: Any) -> Answer:
        began = monotonic()
        answer: Answer = ask()
        took_s = monotonic() - began
        with self._figures.lock:
            if name not in ("fact", "command"):
                self._figures.longest_answer_s = max(self._figures.longest_answer_s, took_s)
        return answer

    def _stale(self, case: str) -> None:
        with self._figures.lock:
            self._figures.stale.append(case)


def ask_many(settings: Settings, times: int, askers: int) -> Figures:
    """Take `times` turns, by `askers` at once; return what was seen."""
    figures, name = Figures(), secrets.token_hex(3)

    def work(number: int) -> None:
        asker = _Asker(settings, f"{name}-{number}", figures)
        for _ in range(number, times, askers):
            asker.turn()

    with ThreadPoolExecutor(askers) as threads:
        for done in [threads.submit(work, number) for number in range(askers)]:
            done.result()
    return figures


def main() -> int:
    """Run against a stack of its own; 1 when an answer was stale or took too long."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=10_000)
    parser.add_argument("--askers", type=int, default=24)
    words = parser.parse_args()
    with whole_stack() as settings, slowed(settings.database):
        began = monotonic()
        figures = ask_many(settings, words.times, words.askers)
        took_s = monotonic() - began
    bounded = figures.longest_answer_s <= WAIT_MS / 1000 + BEYOND_S
    sys.stdout.write("\n".join([figures.said(took_s), *figures.stale[:20], ""]))
    return 0 if bounded and not figures.stale else 1


if __name__ == "__main__":
    sys.exit(main())
