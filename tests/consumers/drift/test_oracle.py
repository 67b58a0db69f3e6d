"""The audit's oracle: a second answer, right where the rules are right, and at odds with them where they are not."""

from collections.abc import Sequence
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from consumers.drift.folds import AuditFold, TicketFold
from consumers.drift.log import Raw
from consumers.drift.oracle import VIEWS, Terms, years_after
from events import tickets
from events.catalogue import EVENT_TYPES
from events.envelope import TICKETS, Decision, Event
from events.outcomes import EraOpened
from events.reference import load
from events.wire.codec import load_codec
from projectors.model import fold
from projectors.retention import RetentionModel, keep_until
from projectors.ticket_status import HANDLERS, TicketStatus
from tests.made import MORNING, NUMBER, closed, made, registered, taken
from tests.projectors.test_oracle import random_life

PLACE = (TICKETS, 3)
TERMS = Terms(3, ZoneInfo("Europe/Moscow"))


def told(events: Sequence[Event], view: str = "ticket_status", parked: int | None = None) -> TicketFold:
    """A fold of one view, fed with `events`; from offset `parked` on they wait."""
    here = TicketFold(next(v for v in VIEWS if v.name == view), PLACE, TERMS)
    here.know_parked({} if parked is None else {NUMBER.encode(): parked})
    for offset, event in enumerate(events):
        encoded = load_codec().encode(event, "test", topic=TICKETS)
        here.feed(Raw(offset, encoded.key, MORNING, encoded.value), event)
    return here


def the_row(here: TicketFold) -> dict[str, Any]:
    (row,) = here.lives[NUMBER].rows.values()
    return row


def by_the_rules(life: Sequence[Any]) -> TicketStatus:
    row: Any = None
    for event in life:
        row = fold(HANDLERS, row, event)
    assert isinstance(row, TicketStatus)
    return row


@pytest.mark.parametrize("life_seed", range(20))
def test_oracle_and_rules_agree_about_any_life(life_seed: int) -> None:
    life = random_life(Random(life_seed), NUMBER)

    kept = None
    for event in life:
        kept = fold(RetentionModel(load()).ticket_rows.handlers, kept, event)  # type: ignore[arg-type]

    assert the_row(told(life)) == by_the_rules(life)._asdict()
    assert kept is not None
    assert the_row(told(life, "retention_ticket")) == kept._asdict()


@pytest.mark.parametrize("broken", HANDLERS, ids=lambda kind: kind.__name__)
def test_oracle_is_at_odds_with_each_rule_that_forgets_its_event(broken: type[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    lives = [random_life(Random(seed), NUMBER) for seed in range(40)]
    always = by_the_rules([registered()])
    monkeypatch.setitem(HANDLERS, broken, lambda row, _: row or always)

    assert any(the_row(told(life)) != by_the_rules(life)._asdict() for life in lives)


def test_oracle_knows_every_decision() -> None:
    kinds = [kind.event for kind in EVENT_TYPES if issubclass(kind.event, Decision) and kind.event is not tickets.TicketRegistered]

    for kind in kinds:
        assert the_row(told([registered(), made(kind, version=2)]))["version"] == 2


@pytest.mark.parametrize("years", [1, 3, 4])
def test_oracle_counts_years_as_retention_does(years: int) -> None:
    moments = [MORNING, 1_709_200_800_000_000, 1_709_154_000_123_456, 1_709_240_399_999_999, 1_301_180_000_000_000]

    assert [years_after(m, TERMS._replace(years=years)) for m in moments] == [keep_until(m, years, TERMS.zone) for m in moments]


def test_repeat_changes_nothing_and_a_version_claimed_twice_or_left_out_is_named() -> None:
    first, second = registered(), taken(2)

    assert the_row(told([first, second, second, first])) == the_row(told([first, second]))
    assert told([first, second, taken(2)]).lives[NUMBER].wrong == "fork"
    assert told([first, taken(3)]).lives[NUMBER].wrong == "hole"


def test_what_an_ended_era_said_does_not_count() -> None:
    events = [registered(), made(EraOpened, era=2), taken(2, era=1), closed(2, era=2)]
    records = AuditFold(PLACE)
    for offset, event in enumerate(events):
        records.feed(Raw(offset, b"key", MORNING, b"value"), event)

    assert the_row(told(events))["status"] == "closed"
    assert [row["void"] for _, row in records.waiting.values()] == [False, False, True, False]


def test_what_waits_parked_is_withheld_until_it_was_tried_again() -> None:
    here = told([registered(), taken(2), closed(3)], parked=1)
    before = the_row(here)["version"]

    here.know_parked({})

    assert (before, the_row(here)["version"]) == (1, 3)


def test_ticket_of_which_nothing_counts_must_have_no_row() -> None:
    here = told([registered()], parked=0)

    assert here.differences({}, [NUMBER]) == []
    assert [f.what for f in here.differences({NUMBER: {(): {}}}, [NUMBER])] == ["unexplained"]


def test_record_under_another_ticket_s_key_is_named_and_not_folded() -> None:
    here = told([])

    here.feed(Raw(7, b"RU-2025-009999", MORNING, b""), registered())

    assert [(f.key, f.what) for f in here.strays] == [("hotline.tickets/3/7", "stray")]
    assert here.lives == {}
