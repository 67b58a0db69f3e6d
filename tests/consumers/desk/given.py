"""given / when / then for the desk's rules: facts in, verdicts and tickets out, without a database."""

from collections.abc import Sequence
from typing import Any

from consumers.desk import life
from consumers.desk.contact import Contact, new_contact
from consumers.desk.envelopes import Envelopes
from consumers.desk.life import Change, Refusal, Ticket
from consumers.desk.opening import Known, Verdict, decide_fact
from events import reference
from events.envelope import Command, Decision, Fact
from events.tickets import Status, TicketRegistered
from tests.consumers.facts import IDENTITY

REFERENCE = reference.load()


class Story:
    """A desk in memory; numbers count from N-1."""

    def __init__(self) -> None:
        self.contacts: dict[bytes, Contact] = {}
        self.tickets: dict[str, Ticket] = {}
        self.decisions: list[Decision] = []
        self._envelopes = Envelopes(IDENTITY, REFERENCE.version, now=1_800_000_000_000_000)

    def when(self, fact: Fact) -> Verdict:
        """Let `fact` happen and return what the rules said."""
        contact = self.contacts.get(fact.contact_id) or new_contact(fact.contact_id, fact.channel)
        verdict = decide_fact(contact, fact, Known(self.tickets, REFERENCE))
        self.contacts[fact.contact_id] = verdict.contact
        self._carry_out(fact, verdict.changes)
        return verdict

    def asked(self, command: Command) -> Change | Refusal:
        """Give `command` and return what the rules said."""
        answer = life.decide(self.tickets.get(command.target), command)
        if isinstance(answer, Change):
            self._carry_out(command, (answer,))
        return answer

    def ticket(self, ordinal: int = 1) -> Ticket:
        """Return the ticket that was opened as number `ordinal`."""
        return self.tickets[f"N-{ordinal}"]

    def status(self, ordinal: int = 1) -> Status:
        """Return where that ticket stands."""
        return self.ticket(ordinal).status

    def _carry_out(self, cause: Any, changes: Sequence[Change]) -> None:
        opened = ""
        for ordinal, change in enumerate(changes, start=1):
            if change.decision is TicketRegistered:
                opened = f"N-{len(self.tickets) + 1}"
                contact = self.contacts[cause.contact_id]
                self.contacts[cause.contact_id] = contact._replace(numbers=[*contact.numbers, opened])
            number = change.number or opened
            decision = self._envelopes.decision(cause, change, number, self.tickets.get(number), ordinal, len(changes))
            self.tickets[number] = life.evolve(self.tickets.get(number), decision)
            self.decisions.append(decision)


def given(*causes: Fact | Command) -> Story:
    """Return the desk after `causes`."""
    story = Story()
    for cause in causes:
        if isinstance(cause, Command):
            assert isinstance(story.asked(cause), Change), f"{cause.name} was refused"
        else:
            story.when(cause)
    return story
