"""All read models against an independent oracle, on random lives with repeats; and the same rows whatever the batches."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from events import calls, chats, complaints, letters, notes, tickets
from events.envelope import COMMANDS, FACTS, TICKETS, Event, StoredFile
from events.outcomes import DecisionPlace
from events.places import Place
from events.reference import load
from projectors.record import Record
from projectors.registry import projections
from tests import oracle, stranger
from tests.given import Log
from tests.made import MORNING, made, registered, settled

MODELS = projections(load())
LATER = (
    tickets.TicketDetailsAdded,
    tickets.TicketTaken,
    tickets.ClarificationAsked,
    tickets.ClarificationReceived,
    tickets.TicketApproved,
    tickets.TicketRefused,
    tickets.TicketClosed,
    tickets.TicketReopened,
)
FACT_KINDS: tuple[type[Event], ...] = (
    calls.CallStarted,
    calls.RecordingStored,
    chats.ChatMessagePosted,
    chats.ChatFileOffered,
    letters.LetterReceived,
    notes.ContactNoted,
    complaints.ComplaintFiled,
)


def told(record: Record) -> oracle.Told:
    """Return a record as a stranger reads it."""
    r = record
    name, fields = (stranger.record_name(r.raw), stranger.decode(r.raw)) if r.event is not None else (None, {})
    return oracle.Told(r.topic, r.partition, r.offset, r.key, r.appended_at, r.raw, name, fields)


def random_fact(random: Random) -> Event:
    kind = random.choice(FACT_KINDS)
    files = tuple(StoredFile(digest=random.randbytes(32), size_bytes=1, media_type="a/b", name=None) for _ in range(random.randrange(3)))
    said: dict[str, Any] = {
        "received_at": MORNING + random.randrange(10**14),
        "contact_id": random.choice([b"1" * 16, b"2" * 16, b"3" * 16]),
        "channel": random.choice(["phone", "chat"]),
    }
    if kind is letters.LetterReceived:
        said["attachments"] = files
    if kind is complaints.ComplaintFiled:
        said |= {"evidence": files, "filed_by": random.choice(["phone", "form"])}
    if kind is chats.ChatFileOffered:
        said["digest"] = random.choice([None, random.randbytes(32)])
    return made(kind, **said)


def repeated(random: Random, event: Event) -> Event:
    """The same once more; a letter was sealed anew, so it names other files than before and was received later."""
    if not isinstance(event, letters.LetterReceived) or random.random() < 0.5:
        return event
    files = tuple(replace(file, digest=random.randbytes(32)) for file in event.attachments)
    return replace(event, raw_digest=random.randbytes(32), attachments=files, received_at=event.received_at + random.randrange(10**14))


def random_life(random: Random, number: str) -> list[Event]:
    first = registered(number, has_name=random.random() < 0.5, contact_id=random.choice([b"1" * 16, b"2" * 16]))
    life: list[Event] = [first]
    for version in range(2, random.randrange(2, 12)):
        kind = random.choice(LATER)
        said: dict[str, Any] = {"number": number, "version": version, "recorded_at": MORNING + random.randrange(10**14)}
        if kind is tickets.TicketDetailsAdded:
            said |= {"topic": random.choice(["", "passport.lost"]), "has_text": random.random() < 0.5}
        if kind is tickets.TicketTaken:
            said["queue"] = random.choice(["", "accounts"])
        if kind is tickets.TicketRefused:
            said |= {"reason_code": "r", "appeal_route": "court"}
        if kind is tickets.TicketClosed:
            said["merged_into"] = random.choice([None, "RU-2025-000001"])
        if kind is tickets.ClarificationReceived:
            said["text"] = random.choice([None, b"sealed"])
        life.append(made(kind, **said))
    return life


def random_outcomes(random: Random, topic: str, partition: int) -> list[Event]:
    found: list[Event] = []
    for offset in random.sample(range(12), random.randrange(12)):
        cause = Place(topic, partition, offset)
        places = [
            DecisionPlace(number="n", version=v, partition=random.randrange(3), offset=random.randrange(99))
            for v in range(random.randrange(3))
        ]
        if random.random() < 0.3:
            found.append(settled(cause, result="parked"))
        found.append(settled(cause, *places, result=random.choice(["decided", "refused"]), era=random.choice([1, 1, 2])))
    return found


def random_log(seed: int) -> Log:
    """A log on which most records come again, some of them much later."""
    random = Random(seed)
    streams = [[random_fact(random)] for _ in range(25)] + [random_life(random, f"RU-2025-{n:06}") for n in range(8)]
    streams += [random_outcomes(random, topic, partition) for topic in (FACTS, COMMANDS) for partition in (0, 1)]
    log, seen = Log(partitions=3), []
    while any(streams):
        stream = random.choice([s for s in streams if s])
        seen.append(stream.pop(0))
        log.append(seen[-1])
        if random.random() < 0.4:
            log.append(repeated(random, random.choice(seen)))
    log.append_raw(FACTS, 1, b"key\0", b"no avro at all")
    log.append_raw(TICKETS, 1, b"", b"")
    return log


@pytest.mark.parametrize("log_seed", range(4))
def test_read_models_hold_what_the_log_says_and_nothing_else(database: str, log_seed: int) -> None:
    log = random_log(log_seed)

    log.deliver(database, MODELS, batch=1 + log_seed * 17)

    assert oracle.differences(database, map(told, log.records)) == []


def test_oracle_notices_a_row_that_is_missing_too_much_or_different(database: str) -> None:
    log = random_log(9)
    log.deliver(database, MODELS, batch=50)
    without_last_ticket_record = [r for r in log.records if r is not next(x for x in reversed(log.records) if x.topic == FACTS)]

    assert oracle.differences(database, map(told, without_last_ticket_record))
    assert oracle.differences(database, [told(r)._replace(appended_at=1) for r in log.records])
