"""The day that the demo plays."""

import json
from collections import Counter
from itertools import pairwise

import pytest

from deploy.simulator.day import DAY_S, day
from deploy.simulator.script import LETTER, Canaries, Day, Message, Order
from deploy.simulator.stories.texts import FAILURE
from events.catalogue import EVENT_TYPES
from events.envelope import COMMANDS, FACTS

CANARIES = Canaries("Эхидна Платипусова", "+7 900 000-99-99", "e.platypus@canary.example", "Мыс Канарейки, 77", "Зелёный снег идёт вверх")


@pytest.fixture(scope="module")
def friday() -> Day:
    return day(7, 2000)


def test_the_same_seed_makes_the_same_day_to_the_byte() -> None:
    assert day(11, 150, CANARIES) == day(11, 150, CANARIES)


def test_another_seed_makes_another_day() -> None:
    bodies = [{message.body for message in day(seed, 100).messages()} for seed in (1, 2)]

    assert not bodies[0] & bodies[1]


def test_the_same_story_under_another_run_is_another_day_to_the_hotline() -> None:
    first, again = ([(m.body, m.clear.get("text")) for m in day(1, 60, run=run).messages()] for run in ("a", "b"))

    assert [text for _, text in first] == [text for _, text in again]
    assert not {body for body, _ in first} & {body for body, _ in again}


def test_every_channel_language_and_kind_of_fact_and_command_occurs(friday: Day) -> None:
    planned = friday.contacts.values()
    kinds = {kind.event.__name__ for kind in EVENT_TYPES if FACTS in kind.topics}

    assert {one.channel for one in planned} == {"phone", "chat", "email", "cabinet", "complaint"}
    assert {one.language for one in planned} == {"ru", "en", "tt"}
    assert friday.events().keys() == kinds
    assert len({order.name for order in friday.orders()}) == len([kind for kind in EVENT_TYPES if COMMANDS in kind.topics])


def test_operators_err_in_every_way_that_the_rules_know(friday: Day) -> None:
    expected = {order.expect for order in friday.orders()}

    assert expected == {"decided", "stale_version", "not_in_this_status", "unknown_ticket", "idempotency_key_reused"}
    assert all(order.fields["appeal_route"] for order in friday.orders() if order.name == "refuse")


def test_most_contacts_open_a_ticket_and_some_chats_two(friday: Day) -> None:
    tickets = Counter(one.tickets for one in friday.contacts.values())

    assert tickets[1] > 1500
    assert tickets[0] > 100
    assert tickets[2] > 10
    assert {one.channel for one in friday.contacts.values() if one.tickets == 2} == {"chat"}


def test_lunch_is_busier_than_the_night_and_a_failure_makes_many_ring_at_once(friday: Day) -> None:
    begun = {one.contact: one.at_s for one in reversed(list(friday.messages()))}
    hours = Counter(int(at_s // 3600) for at_s in begun.values())
    failing = [begun[one.name] for one in friday.contacts.values() if one.topic == FAILURE]

    assert hours[12] > 10 * hours[3]
    assert len(failing) > 80
    assert max(failing) - min(failing) < 3600


def test_some_ring_again_and_their_call_belongs_to_an_earlier_ticket(friday: Day) -> None:
    last = {step.contact: step.at_s for step in friday.steps if isinstance(step, Message)}
    notes = [message for message in friday.messages() if message.number_of and message.event == "ContactNoted"]

    assert len(notes) > 20
    for note in notes:
        assert friday.contacts[note.number_of or ""].tickets == 1
        assert last[note.number_of or ""] < note.at_s
        assert json.loads(note.body)["disposition"] == "belongs_to"


def test_a_call_may_be_told_as_ended_before_it_is_told_as_answered(friday: Day) -> None:
    told = [(step.contact, step.event) for step in friday.messages() if step.event in ("CallAnswered", "CallEnded")]
    places = {pair: place for place, pair in reversed(list(enumerate(told)))}

    assert any(places[contact, "CallEnded"] < place for (contact, event), place in places.items() if event == "CallAnswered")


def test_adapters_repeat_some_messages(friday: Day) -> None:
    first = {message.body for message in friday.messages() if not message.repeat}
    repeats = [message for message in friday.messages() if message.repeat]

    assert len(repeats) > 100
    assert all(message.body in first for message in repeats if message.media_type != LETTER and message.event != "CallEnded")


def test_steps_come_in_the_order_of_the_day_and_keys_of_commands_are_never_reused_by_chance(friday: Day) -> None:
    keys = Counter(order.key for order in friday.orders() if not order.repeat and order.expect != "idempotency_key_reused")

    assert all(one.at_s <= other.at_s for one, other in pairwise(friday.steps))
    assert friday.steps[-1].at_s < 2 * DAY_S
    assert max(keys.values()) == 1


def test_no_step_shows_a_person_in_its_repr() -> None:
    planted = day(5, 400, CANARIES)
    values = (CANARIES.name, CANARIES.phone, CANARIES.email, CANARIES.address, CANARIES.text)

    assert not [step for step in planted.steps if any(value in repr(step) for value in values)]


def test_canaries_are_planted_in_every_channel_and_in_a_command() -> None:
    planted = day(5, 400, CANARIES)
    with_text = {step.channel for step in planted.messages() if any(CANARIES.text in str(v) for v in step.clear.values())}
    orders = [step for step in planted.steps if isinstance(step, Order) and CANARIES.text in "".join(step.fields.values())]

    assert with_text == {"phone", "chat", "email", "cabinet", "complaint"}
    assert orders
    assert all(value in str([dict(step.clear) for step in planted.messages()]) for value in (CANARIES.name, CANARIES.phone, CANARIES.email))
