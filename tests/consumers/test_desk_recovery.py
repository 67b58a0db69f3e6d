"""The desk's way back on a real Kafka and a real Postgres: tables lost, restored from an older copy, or found half published."""

import pytest

from events.envelope import COMMANDS, FACTS, OUTCOMES, REFERENCE, TICKETS
from events.outcomes import EraOpened
from events.tickets import TicketRegistered
from events.wire.publisher import MAX_MESSAGE_BYTES
from projectors.registry import PROJECTIONS
from tests import oracle
from tests.consumed import told
from tests.consumers.facts import command, request
from tests.consumers.on_parts import ends_of, following, publish, read_all
from tests.consumers.recovering import Office, a_bit_of_everything, a_call, a_form, a_letter, new, new_id, wrong_on_the_log
from tests.waiting import until

pytestmark = pytest.mark.parts

_FOLLOWED = (FACTS, COMMANDS, TICKETS, OUTCOMES)
_ALL_S = 60.0


def test_a_desk_that_lost_its_tables_is_built_again_and_says_nothing_twice(office: Office) -> None:
    office.be_busy()
    said_before = len(read_all(office.settings, OUTCOMES))

    heir = Office(office.settings)
    era = heir.wake()
    heir.decide()

    assert era == office.era() + 1
    assert heir.waiting() == 0
    assert heir.tables() == office.tables()
    assert len(read_all(office.settings, OUTCOMES)) == said_before + 12  # a mark in each partition, no outcome
    heir.look()
    assert heir.rows("SELECT recalling FROM desk_memory") == [(False,)]
    assert wrong_on_the_log(office.settings) == []


def test_after_the_loss_new_tickets_get_new_numbers_and_old_ones_go_on(office: Office) -> None:
    places = publish(office.settings, [a_form()])
    office.settle()
    (number,) = office.numbers(places)

    heir = Office(office.settings)
    era = heir.wake()
    places = publish(office.settings, [a_form(), command("take", number, expected_version=1, event_id=new_id())])
    heir.settle()

    assert [(o.result, o.era) for o in heir.outcomes_of(places)] == [("decided", era)] * 2
    registered = {(e.number, e.event_id) for e in heir.events(TICKETS) if isinstance(e, TicketRegistered)}  # a relay may repeat itself
    assert len(registered) == len({number for number, _ in registered})
    assert wrong_on_the_log(office.settings) == []


@pytest.mark.parametrize("as_files", [False, True], ids=["restored elsewhere", "restored in its place"])
def test_an_older_copy_goes_on_while_the_old_relay_is_still_alive(office: Office, as_files: bool) -> None:
    office.be_busy()
    copy = office.copy(as_files=as_files)
    office.be_busy()
    waiting = publish(office.settings, [*a_bit_of_everything(), *a_bit_of_everything()])
    office.decide()
    office.publish_some(4)

    era = copy.wake()
    office.publish_blindly()  # all of it once more, after the marks
    copy.settle()
    office.publish_blindly()
    places = publish(office.settings, a_bit_of_everything())
    copy.settle()

    assert era == office.era() + 1
    assert {outcome.era for outcome in copy.outcomes_of([*waiting, *places])} == {era}
    assert wrong_on_the_log(office.settings) == []


def test_a_copy_that_is_what_the_log_says_opens_no_era(office: Office) -> None:
    office.be_busy()
    era = office.era()

    assert office.wake() == era
    assert office.copy(as_files=True).wake() == era


#: Of a letter with two decisions, a call's three facts, and a form: how many decisions a dying relay had published.
@pytest.mark.parametrize("decisions", range(5))
@pytest.mark.parametrize("found", ["nothing", "a copy without them", "a copy with them waiting"])
def test_what_was_half_published_is_completed(office: Office, decisions: int, found: str) -> None:
    before = office.copy() if found == "a copy without them" else Office(office.settings)
    places = publish(office.settings, [a_letter(), *a_call(), a_form()])
    office.decide()
    office.publish_some(decisions)

    heir = office.copy() if found == "a copy with them waiting" else before
    era = heir.wake()
    heir.settle()

    outcomes = heir.outcomes_of(places)
    assert [o.result for o in outcomes] == ["decided", "no_change", "no_change", "decided", "decided"]
    assert [len(o.decisions) for o in outcomes] == [2, 0, 0, 1, 1]
    assert {o.era for o in outcomes} == {era}
    assert wrong_on_the_log(office.settings) == []


def test_what_was_published_and_not_deleted_leaves_the_outbox_of_a_copy(office: Office) -> None:
    publish(office.settings, a_bit_of_everything())
    office.decide()
    office.publish_blindly()

    copy = office.copy()
    copy.wake()

    assert copy.waiting() == 0
    assert wrong_on_the_log(office.settings) == []


def test_tables_that_contradict_the_log_are_forgotten_and_built_again(office: Office) -> None:
    """Two copies of one moment; the first one's decisions take the numbers that wait in the second one's outbox."""
    places = publish(office.settings, [a_form(), a_form(), a_letter()])
    without = office.copy()
    office.decide()
    late = office.copy()
    publish(office.settings, [a_form()])
    without.run("UPDATE desk_counter SET last = last + 1")
    without.wake()
    without.settle()

    late.wake()
    late.settle()

    assert {o.result for o in late.outcomes_of(places)} == {"decided"}
    assert late.tables() | {"counters": []} == without.tables() | {"counters": []}
    assert wrong_on_the_log(office.settings) == []


def test_an_era_is_announced_once_with_the_places_of_its_marks(office: Office) -> None:
    office.be_busy()
    era = Office(office.settings).wake()

    (announced,) = [e for _, e in read_all(office.settings, REFERENCE) if isinstance(e, EraOpened) and e.era == era]
    marks = {
        (place.topic, place.partition, place.offset)
        for topic in (TICKETS, OUTCOMES)
        for place, e in read_all(office.settings, topic)
        if isinstance(e, EraOpened) and e.era == era
    }
    assert {(m.topic, m.partition, m.offset) for m in announced.marks} == marks
    assert len(marks) == 24


def test_read_models_are_what_an_independent_count_of_the_log_says_after_all_that(office: Office) -> None:
    """Behind marks lie decisions and outcomes of the old relay: only the audit log holds them, marked void."""
    copy = office.copy()
    office.be_busy()
    publish(office.settings, a_bit_of_everything())
    office.decide()
    copy.wake()
    office.publish_blindly()
    copy.be_busy()

    readers = Office(office.settings)
    ends = sum(past for topic in _FOLLOWED for _, past in ends_of(office.settings, topic).values())
    with following(office.settings, readers.address, *PROJECTIONS) as projectors:
        query = "SELECT sum(next_offset) FROM position WHERE consumer = 'audit_log_v1'"
        until(lambda: projectors.step() >= 0 and readers.rows(query) == [(ends,)], _ALL_S)

    assert oracle.differences(readers.address, told(office.settings.kafka_address)) == []
    assert readers.rows("SELECT count(*) > 0 FROM audit_log WHERE void") == [(True,)]
    assert readers.rows("SELECT * FROM parked") == []


def test_what_waited_parked_is_settled_once_when_it_is_tried_again_after_the_loss(office: Office) -> None:
    """A copy of the time when a cause waited comes back after the cause was settled for good, and after it was not."""
    settled, left = publish(office.settings, [a_form(), a_form()])
    office.decide(parking=(settled, left))
    copy = office.copy()
    office.publish_all()
    assert [o.result for o in office.outcomes_of([settled, left])] == ["parked", "parked"]
    office.redrive(settled)
    office.publish_all()

    copy.wake()
    for place in (settled, left):
        copy.redrive(place)
    copy.publish_all()

    assert [o.result for o in copy.outcomes_of([settled, left])] == ["decided", "decided"]
    assert copy.outcomes_of([settled])[0].era < copy.era()
    assert wrong_on_the_log(office.settings) == []


def test_a_cause_whose_decision_no_broker_would_take_is_refused(office: Office) -> None:
    text = b"t" * (MAX_MESSAGE_BYTES - 2_000)
    places = publish(office.settings, [request(new("form"), event_id=new_id(), text=text), a_form()])

    office.settle()

    assert [(o.result, o.rule) for o in office.outcomes_of(places)] == [("refused", "too_large"), ("decided", "")]
    assert wrong_on_the_log(office.settings) == []
