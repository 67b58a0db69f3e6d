"""Eras on a real Kafka and a real Postgres: desks that die while they open one, two that claim one, and who is overtaken."""

import psycopg
import pytest

from consumers.desk import memory
from consumers.desk.desk import Desk
from consumers.desk.memory import Superseded
from consumers.desk.recall import EraClaimed
from consumers.desk.watch import Overtaken
from events import reference
from events.envelope import OUTCOMES, REFERENCE, TICKETS, Decision, Event
from events.places import Place
from projectors.positions import Fenced
from tests.consumers.facts import IDENTITY, command
from tests.consumers.on_parts import publish, read_all
from tests.consumers.recovering import Office, a_bit_of_everything, a_form, a_letter, dying_at, new_id, wrong_on_the_log

pytestmark = pytest.mark.parts

STEPS = (
    *("era.intent_stored", "era.number_final", "era.outcomes_marked", "era.tickets_marked", "era.announced"),
    *("era.before_fold", "era.before_finishing"),
)


def _half_published(office: Office) -> Office:
    """Return an older copy of an office that went on and left causes at every boundary."""
    copy = office.copy()
    office.be_busy()
    publish(office.settings, [a_letter(), *a_bit_of_everything()])
    office.decide()
    office.publish_some(3)
    return copy


@pytest.mark.parametrize("step", STEPS)
def test_a_desk_that_dies_while_it_opens_an_era_goes_on_where_it_stopped(office: Office, step: str) -> None:
    copy = _half_published(office)
    with dying_at(step):
        copy.wake()
    office.publish_blindly()  # the old relay is not dead

    era = copy.wake()
    copy.settle()

    assert era == office.era() + 1
    assert wrong_on_the_log(office.settings) == []


def test_while_an_era_is_opened_nobody_decides_or_deletes(office: Office) -> None:
    publish(office.settings, [a_form()])
    office.decide()
    publish(office.settings, [a_form()])
    copy = office.copy()
    with dying_at("era.intent_stored"):
        office.run("UPDATE desk_memory SET system_identifier = 0")
        office.wake()

    with office.relay() as relay:
        assert not relay.may_publish()
        with pytest.raises(Fenced):
            relay.step()
    with pytest.raises(Fenced):
        office.decide()

    assert office.waiting() == copy.waiting() == 1
    office.wake()
    office.settle()
    assert wrong_on_the_log(office.settings) == []


def test_a_relay_does_not_delete_what_it_read_before_an_era_was_opened(office: Office) -> None:
    publish(office.settings, [a_form()])
    office.decide()
    with office.relay() as relay:
        publishing = relay._publish

        def publish_late(batch: object) -> None:
            office.run("UPDATE desk_memory SET system_identifier = 0")
            office.wake()
            publishing(batch)  # type: ignore[arg-type]

        relay._publish = publish_late  # type: ignore[method-assign]
        with pytest.raises(Fenced):
            relay.step()

    assert office.waiting() == 1
    office.settle()
    assert wrong_on_the_log(office.settings) == []


def test_an_era_claimed_twice_belongs_to_the_first_mark_and_the_other_desk_stops(office: Office) -> None:
    first, second = _half_published(office), office.copy()
    with dying_at("era.number_final"):
        first.wake()

    era = second.wake()
    with pytest.raises(EraClaimed):
        first.wake()
    with pytest.raises(Superseded):
        first.wake()

    assert first.rows("SELECT superseded_by, era FROM desk_memory") == [(era, era - 1)]
    second.settle()
    assert wrong_on_the_log(office.settings) == []


def test_an_era_that_somebody_began_to_mark_is_not_claimed_again(office: Office) -> None:
    first, second = _half_published(office), office.copy()
    with dying_at("era.outcomes_marked"):
        first.wake()

    era = second.wake()
    with pytest.raises(Superseded):
        first.wake()

    assert era == office.era() + 2
    second.settle()
    assert wrong_on_the_log(office.settings) == []


def test_a_copy_taken_while_an_era_was_opened_claims_one_of_its_own(office: Office) -> None:
    first = _half_published(office)
    with dying_at("era.tickets_marked"):
        first.wake()
    copy = first.copy()

    era = first.wake()
    first.settle()
    later = copy.wake()
    copy.settle()

    assert later > era
    assert wrong_on_the_log(office.settings) == []


def test_desk_and_relay_of_an_overtaken_database_notice_it_and_refuse_ever_after(office: Office) -> None:
    publish(office.settings, [a_form()])
    office.decide()
    heir = office.copy()
    era = heir.wake()

    with office.relay() as relay, pytest.raises(Superseded, match=f"era {era}"):
        relay.may_publish()
    with pytest.raises(Superseded):
        office.wake()
    with pytest.raises(Superseded):
        office.look()
    publish(office.settings, [a_form()])
    with pytest.raises(Fenced):
        office.decide()

    assert office.waiting() == 1
    heir.settle()
    assert wrong_on_the_log(office.settings) == []


def test_a_working_desk_notices_that_it_was_overtaken(office: Office) -> None:
    era = office.copy().wake()

    with pytest.raises(Superseded, match=f"era {era}"):
        office.look()

    assert office.rows("SELECT superseded_by FROM desk_memory") == [(era,)]


def test_a_database_may_take_over_again_when_a_person_says_so(office: Office) -> None:
    office.copy().wake()
    with pytest.raises(Superseded) as told:
        office.wake()
    office.run(str(told.value).rpartition("tell the tables here: ")[2])

    assert office.wake() == told.value.era + 1
    assert wrong_on_the_log(office.settings) == []


def test_a_working_desk_reads_its_own_words_and_a_later_start_reads_none(office: Office) -> None:
    office.be_busy()

    office.look()

    ends = {(topic, partition): 0 for topic in (TICKETS, OUTCOMES) for partition in range(12)}
    for topic in (TICKETS, OUTCOMES):
        for place, _ in read_all(office.settings, topic):
            ends[topic, place.partition] = max(ends[topic, place.partition], place.offset + 1)
    assert {(t, p): at for t, p, at in office.rows("SELECT topic, partition, next_offset FROM desk_history")} == ends


def test_history_does_not_move_past_words_that_still_wait_in_the_outbox(office: Office) -> None:
    before = office.rows("SELECT * FROM desk_history ORDER BY 1, 2")
    publish(office.settings, [a_letter()])
    office.decide()
    office.publish_blindly()

    office.look()

    assert office.rows("SELECT * FROM desk_history ORDER BY 1, 2") == before
    copy = office.copy()
    copy.wake()
    assert copy.waiting() == 0
    assert wrong_on_the_log(office.settings) == []


def test_a_working_desk_notices_decisions_that_its_tables_do_not_know(office: Office) -> None:
    other = office.copy(as_files=True)
    publish(office.settings, [a_form()])
    office.settle()

    with pytest.raises(Overtaken):
        other.look()

    assert other.wake() == office.era() + 1
    assert wrong_on_the_log(office.settings) == []


def test_a_relay_waits_until_a_desk_has_looked_at_tables_on_a_server_that_was_started_anew(office: Office) -> None:
    office.run("UPDATE desk_memory SET looked_at = looked_at - 1")

    with office.relay() as relay:
        assert not relay.may_publish()
        office.wake()
        assert relay.may_publish()


def test_a_long_history_is_read_in_batches(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.be_busy()
    monkeypatch.setattr("consumers.desk.stretch.BATCH_RECORDS", 7)
    monkeypatch.setattr("consumers.desk.eras.ROWS_AT_ONCE", 2)
    monkeypatch.setattr("consumers.desk.recall.ROWS_AT_ONCE", 2)
    publish(office.settings, a_bit_of_everything())
    office.decide()
    office.publish_some(2)

    copy = office.copy()
    copy.wake()
    copy.settle()

    assert wrong_on_the_log(office.settings) == []


def test_the_reference_topic_has_one_partition_and_tells_all_eras_in_order(office: Office) -> None:
    told = [(place.partition, event.era) for place, event in read_all(office.settings, REFERENCE)]  # type: ignore[attr-defined]

    assert {partition for partition, _ in told} <= {0}
    assert [era for _, era in told] == sorted(era for _, era in told)


def test_the_server_can_be_told_by_a_role_without_any_rights(office: Office) -> None:
    with psycopg.connect(office.address) as db:
        expected = memory.server_of(db)
        db.execute("CREATE ROLE plain_reader")
        db.execute("SET ROLE plain_reader")

        assert memory.server_of(db) == expected

        db.rollback()


def test_a_clock_that_went_back_takes_no_ticket_back(office: Office) -> None:
    (number,) = office.numbers(_settled(office, a_form()))
    heir = office.copy()
    heir.desk = Desk(IDENTITY, reference.load(), clock=lambda: 1_000_000_000_000_000)
    heir.wake()

    publish(office.settings, [command("take", number, event_id=new_id())])
    heir.settle()

    life = [e for e in heir.events(TICKETS) if isinstance(e, Decision) and e.number == number]
    assert [e.version for e in life] == [1, 2]
    assert life[0].recorded_at <= life[1].recorded_at


def _settled(office: Office, *said: Event) -> list[Place]:
    places = publish(office.settings, said)
    office.settle()
    return places
