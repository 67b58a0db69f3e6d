"""The checker itself: each invariant, broken once, is found. Records are made up, told as a stranger would tell them."""

from typing import Any

import pytest

from events.identity import Identity
from tests.faults.history import COMMAND, FACT, OK, REFUSED, Heard, Held, History, Numbered, Recovery
from tests.faults.invariants import Evidence, disordered, forks, ghosts, late, numbers, outcomes, unbounded, valid
from tests.oracle import Told

IDENTITY = Identity(b"k" * 32)
CONTACT = IDENTITY.contact_id("cabinet", "form-1")
CONTACTS, TICKETS, OUTCOMES = "hotline.contacts", "hotline.tickets", "hotline.outcomes"
NUMBER = "RU-2025-000001"


def _told(topic: str, offset: int, name: str, **fields: Any) -> Told:
    key = str(fields.get("number", "key")).encode()
    return Told(topic, int(fields.pop("partition", 0)), offset, key, 0, b"", f"hotline.{name}", fields)


def _fact(offset: int, event_id: bytes = b"f" * 16) -> Told:
    return _told(CONTACTS, offset, "cabinet.CabinetRequestFiled", event_id=event_id, contact_id=CONTACT)


def _decision(offset: int, version: int, event_id: bytes, **said: Any) -> Told:
    name = "tickets.TicketRegistered" if version == 1 else "tickets.TicketTaken"
    usual = {"number": NUMBER, "version": version, "era": 1, "cause_id": b"f" * 16, "contact_id": CONTACT, "ordinal": 1}
    return _told(TICKETS, offset, name, event_id=event_id, **{**usual, **said})


def _outcome(offset: int, *decided: tuple[int, int], **said: Any) -> Told:
    decisions = [{"number": NUMBER, "version": version, "partition": 0, "offset": at} for version, at in decided]
    cause = {"cause_topic": CONTACTS, "cause_partition": 0, "cause_offset": 0}
    usual = {"event_id": b"o" * 16, "era": 1, "result": "decided", "rule": "", "decisions": decisions}
    return _told(OUTCOMES, offset, "outcomes.CauseSettled", **{**cause, **usual, **said})


def _era(topic: str, offset: int, era: int) -> Told:
    return _told(topic, offset, "outcomes.EraOpened", event_id=b"e" * 16, era=era)


def _evidence(*records: Told, entries: tuple[Any, ...] = ()) -> Evidence:
    history = History()
    history.entries += entries
    return Evidence(records, "", history, IDENTITY)


SOUND = (_fact(0), _decision(0, 1, b"1" * 16), _outcome(0, (1, 0)))


def _heard(kind: str, own_key: str, outcome: str, **said: Any) -> Heard:
    return Heard(0.0, 0.0, kind, own_key, outcome, 202 if outcome == OK else 503, **said)


def test_of_a_sound_log_nothing_is_found() -> None:
    evidence = _evidence(*SOUND, entries=(_heard(FACT, "form-1", OK), Numbered(0.0, "form-1", NUMBER)))

    for look in (disordered, ghosts, late, unbounded, numbers, outcomes):
        assert list(look(evidence)) == []


def test_repeats_by_the_relay_are_no_findings() -> None:
    evidence = _evidence(*SOUND, _decision(1, 1, b"1" * 16), _outcome(1, (1, 0)))

    assert list(disordered(evidence)) == []
    assert list(outcomes(evidence)) == []


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ((_decision(1, 3, b"3" * 16),), f"{NUMBER}: version 3 after 1"),
        ((_decision(0, 2, b"2" * 16, partition=1),), "lies in partitions [0, 1]"),
    ],
    ids=["hole", "stray"],
)
def test_a_reader_who_meets_another_version_than_the_next_is_found(records: tuple[Told, ...], said: str) -> None:
    assert any(said in line for line in disordered(_evidence(*SOUND, *records)))


def test_two_decisions_for_one_version_are_a_fork_unless_an_era_made_one_void() -> None:
    other = _decision(2, 1, b"x" * 16)

    assert list(forks([*SOUND, other])) == [f"{NUMBER} version 1: 2 decisions"]
    assert list(forks(valid([*SOUND, _era(TICKETS, 1, 2), other]))) == []


def test_what_was_always_refused_and_lies_on_the_log_is_a_ghost_and_what_was_unknown_is_none() -> None:
    refused = _heard(FACT, "form-1", REFUSED)

    assert len(list(ghosts(_evidence(*SOUND, entries=(refused, refused))))) == 1
    assert list(ghosts(_evidence(*SOUND, entries=(refused, _heard(FACT, "form-1", "unknown"))))) == []
    assert list(ghosts(_evidence(*SOUND, entries=(_heard(COMMAND, "key-1", REFUSED),)))) == []


def test_a_decision_whose_cause_is_on_no_topic_is_a_ghost() -> None:
    assert len(list(ghosts(_evidence(*SOUND, _decision(1, 2, b"2" * 16, cause_id=b"?" * 16))))) == 1


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (SOUND[:2], "0 outcomes"),
        ((*SOUND, _outcome(1, event_id=b"p" * 16, result="no_change")), "2 outcomes"),
        ((*SOUND[:2], _outcome(0, (1, 0), (2, 7))), "version 2, which is not there"),
        ((*SOUND[:2], _outcome(0)), "no outcome names it"),
    ],
    ids=["none", "two", "of nothing", "unnamed"],
)
def test_a_cause_without_exactly_one_true_outcome_is_found(records: tuple[Told, ...], said: str) -> None:
    assert any(said in line for line in outcomes(_evidence(*records)))


def test_a_parked_outcome_gives_way_to_the_real_one_and_a_lower_era_to_the_higher() -> None:
    parked = _outcome(0, event_id=b"p" * 16, result="parked")
    ended = _outcome(1, event_id=b"q" * 16, result="refused")

    assert list(outcomes(_evidence(*SOUND[:2], parked, _outcome(1, (1, 0))))) == []
    assert list(outcomes(_evidence(*SOUND[:2], _era(OUTCOMES, 0, 2), ended, _outcome(2, (1, 0), era=2)))) == []


def test_an_answer_that_a_repeat_got_otherwise_is_found() -> None:
    first = _heard(COMMAND, "key-1", OK, decisions=((NUMBER, 1, 0, 0),))
    other = _heard(COMMAND, "key-1", OK, decisions=((NUMBER, 2, 0, 9),))

    assert list(outcomes(_evidence(*SOUND, entries=(first, first)))) == []
    assert any("2 different answers" in line for line in outcomes(_evidence(*SOUND, entries=(first, other))))


@pytest.mark.parametrize(
    ("records", "entries", "said"),
    [
        ((_decision(1, 1, b"2" * 16, contact_id=b"c" * 16),), (), "given to 2 contacts"),
        ((_decision(1, 1, b"2" * 16, number="RU-2025-000002"),), (), "has the numbers"),
        ((), (Numbered(0.0, "form-2", NUMBER),), "the log says otherwise"),
    ],
    ids=["given twice", "changed", "told otherwise"],
)
def test_a_number_given_twice_or_changed_is_found(records: tuple[Told, ...], entries: tuple[Any, ...], said: str) -> None:
    assert any(said in line for line in numbers(_evidence(*SOUND, *records, entries=entries)))


def test_a_late_recovery_and_memory_that_did_not_come_back_are_found() -> None:
    before, after = Held(0.0, "before", {"desk": 80}, {}), Held(9.0, "after", {"desk": 161}, {"desk_v1 on hotline.contacts": 3})
    evidence = _evidence(entries=(Recovery(1.0, "kill", 15.2, 15.0), Recovery(2.0, "kill", 14.8, 15.0), before, after))

    assert len(list(late(evidence))) == 1
    assert len(list(unbounded(evidence))) == 2
