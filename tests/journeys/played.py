"""A day played through a running stack, and what the checker of the invariants and the day's own script say about it afterwards."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from threading import Event as Flag
from time import monotonic

from api.access import issue
from deploy.simulator.day import day
from deploy.simulator.ledger import Ledger
from deploy.simulator.player import Addresses, play
from deploy.simulator.script import Canaries
from events.settings import Settings
from events.vault.opening import open_vault
from tests.consumed import told
from tests.faults.history import COMMAND, FACT, OK, Heard, History
from tests.faults.invariants import Evidence, check
from tests.journeys.stacks import wait_settled
from tests.oracle import FACT_FOLDERS, Told

CANARIES = Canaries(
    name="Канареев Зябликослав Щеглович",
    phone="+7 900 000-73-19",
    email="kanareev.zyablikoslav@pochta.example",
    address="Зазеркальск, ул. Попугаечная, 17, 4",
    text="перламутровый ларец кукувякина",
)
_TOKEN_TTL_S = 3_600


@dataclass(frozen=True)
class Played:
    """A day that is over: what the player was told and what the log holds."""

    settings: Settings
    ledger: Ledger = field(repr=False)
    told: Sequence[Told] = field(repr=False)


def play_day(settings: Settings, seed: int, contacts: int, contacts_per_s: float, stop: Flag | None = None) -> Ledger:
    """Play a day with canaries to its end, or until `stop` is set; the adapters repeat until they are answered for good."""

    @cache
    def token_for(who: str) -> str:
        return issue(settings, "adapter" if who == "adapter" else "operator", who, _TOKEN_TTL_S)

    ledger = Ledger(day(seed, contacts, CANARIES))
    ledger.started_s = monotonic()
    play(ledger.day, Addresses(settings.intake_port, settings.api_port), token_for, contacts_per_s, stop or Flag(), ledger)
    return ledger


def after(settings: Settings, ledger: Ledger) -> Played:
    """Return the day once everything has settled."""
    wait_settled(settings)
    return Played(settings, ledger, told(settings.kafka_address))


def findings(played: Played) -> list[str]:
    """Return a line for everything that breaks an invariant, or of which the script says otherwise."""
    identity = open_vault(played.settings).identity()
    evidence = Evidence(played.told, played.settings.database, _history(played.ledger), identity)
    return [*played.ledger.troubles, *map(str, check(evidence)), *_tickets(played)]


def _history(ledger: Ledger) -> History:
    """Return what the player was told as the checker takes it."""
    history = History()
    for accepted in ledger.accepted:
        own_id = f"{accepted.message.contact} {accepted.type}"
        history.note(Heard(0.0, 0.0, FACT, own_id, OK, HTTPStatus.ACCEPTED, event_ids=(accepted.event_id.hex(),)))
    for answered in ledger.answered:
        history.note(Heard(0.0, 0.0, COMMAND, answered.order.key, OK, answered.status, decisions=answered.decisions))
    return history


def _tickets(played: Played) -> Iterator[str]:
    """Contacts with more or fewer tickets than the script says."""
    opened: dict[bytes, set[str]] = defaultdict(set)
    for r in played.told:
        if r.short == "TicketRegistered":
            opened[r.fields["contact_id"]].add(r.fields["number"])
    for name, known in played.ledger.contacts().items():
        wanted, found = played.ledger.day.contacts[name].tickets, len(opened[known.contact_id])
        if wanted != found:
            yield f"{name}: {found} tickets instead of {wanted}"


def repeats_on(records: Sequence[Told], topic: str) -> int:
    """Return how many records of a topic repeat the id of an earlier one."""
    ids = [r.fields["event_id"] for r in records if r.topic == topic]
    return len(ids) - len(set(ids))


def facts_of(records: Sequence[Told]) -> list[Told]:
    """Return the records of facts."""
    return [r for r in records if r.folder in FACT_FOLDERS]
