"""What became of causes, and how far each partition of them is settled."""

import random

import pytest

from events.envelope import COMMANDS, FACTS
from events.outcomes import DecisionPlace
from events.places import Place
from projectors.outcomes import OUTCOMES_MODEL, OutcomeRow, find_outcomes
from tests.given import given, rows_of
from tests.made import NUMBER, settled
from tests.projectors.test_audit_log import asked

CAUSE = Place(FACTS, 0, 0)


def decision(offset: int, partition: int = 0, version: int = 1) -> DecisionPlace:
    return DecisionPlace(number=NUMBER, version=version, partition=partition, offset=offset)


def outcome_of(dsn: str, place: Place = CAUSE) -> OutcomeRow:
    return asked(dsn, lambda db: find_outcomes(db, [place]))[place]


def test_decided_cause_names_its_decisions(database: str) -> None:
    given(settled(CAUSE, decision(7), decision(8, version=2))).deliver(database, [OUTCOMES_MODEL])

    found = outcome_of(database)

    assert (found.result, found.first) == ("decided", None)
    assert found.decisions == [
        {"number": NUMBER, "version": 1, "partition": 0, "offset": 7},
        {"number": NUMBER, "version": 2, "partition": 0, "offset": 8},
    ]


def test_refused_command_keeps_its_rule_and_the_version_the_ticket_had(database: str) -> None:
    given(settled(CAUSE, result="refused", rule="stale_version", detail="…", ticket_version=4)).deliver(database, [OUTCOMES_MODEL])

    assert outcome_of(database) == OutcomeRow("refused", "stale_version", "…", 4, None, [])


def test_duplicate_names_the_place_of_the_first(database: str) -> None:
    given(settled(CAUSE), settled(Place(FACTS, 0, 1), result="duplicate", first_partition=0, first_offset=0)).deliver(
        database, [OUTCOMES_MODEL]
    )

    assert outcome_of(database, Place(FACTS, 0, 1)).first == CAUSE


def test_repeated_outcome_keeps_the_places_it_named_first(database: str) -> None:
    given(settled(CAUSE, decision(7)), settled(CAUSE, decision(9))).deliver(database, [OUTCOMES_MODEL], batch=1)

    assert outcome_of(database).decisions[0]["offset"] == 7


def test_real_result_takes_the_place_of_parked_and_never_the_other_way(database: str) -> None:
    given(settled(CAUSE, result="parked"), settled(CAUSE, decision(7))).deliver(database, [OUTCOMES_MODEL])

    assert outcome_of(database).result == "decided"


def test_highest_era_counts_whatever_comes_later(database: str) -> None:
    given(settled(CAUSE, decision(7), era=2), settled(CAUSE, result="refused", era=1)).deliver(database, [OUTCOMES_MODEL])

    assert outcome_of(database).decisions[0]["offset"] == 7


def test_cause_without_an_outcome_is_not_found(database: str) -> None:
    given(settled(CAUSE)).deliver(database, [OUTCOMES_MODEL])

    assert asked(database, lambda db: find_outcomes(db, [Place(FACTS, 0, 5)])) == {}


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_partition_is_settled_as_far_as_no_cause_is_missing(database: str, batch: int) -> None:
    offsets = [0, 1, 2, 4, 5, 7]
    random.Random(batch).shuffle(offsets)

    given(*(settled(Place(FACTS, 2, n), decision(n * 10, partition=n % 3)) for n in offsets)).deliver(database, [OUTCOMES_MODEL], batch)

    (row,) = rows_of(database, "outcome_reach", "cause_topic")
    assert (row["cause_partition"], row["settled_offset"], row["greatest_offset"]) == (2, 2, 7)
    assert row["decided"] == [0, 70, 50]


def test_hole_that_is_filled_later_settles_what_lies_behind_it(database: str) -> None:
    places = [Place(COMMANDS, 0, n) for n in (0, 2, 3, 1)]

    given(*(settled(place) for place in places)).deliver(database, [OUTCOMES_MODEL], batch=1)

    assert rows_of(database, "outcome_reach", "cause_topic")[0]["settled_offset"] == 3
