"""Tokens, and when a read model has reached one."""

import random
import string

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as some

from events.envelope import COMMANDS, FACTS, OUTCOMES, TICKETS
from events.places import Place
from projectors.audit_log import AUDIT_LOG
from projectors.outcomes import Reach
from projectors.reaching import Demands, Progress, demands_of, still_open
from projectors.ticket_status import TICKET_STATUS
from projectors.tokens import BadToken, Token

PLACES = some.builds(Place, some.sampled_from([FACTS, COMMANDS, TICKETS, "x"]), some.integers(0, 999), some.integers(0, 2**62))


@for_all(some.lists(PLACES, max_size=40))
def test_token_says_what_it_was_made_of(places: list[Place]) -> None:
    token = Token.of(places)

    assert Token.parse(token.encode()) == token
    assert all(token[place[:2]] >= place.offset for place in places)
    assert set(token.encode()) <= set(string.ascii_letters + string.digits + "-_.")


@for_all(some.text(max_size=60))
def test_text_that_is_no_token_is_refused(text: str) -> None:
    for candidate in (text, f"h1.{text}"):
        with pytest.raises(BadToken):
            Token.parse(candidate)


def test_slip_of_the_pen_is_noticed() -> None:
    text = Token.of([Place(FACTS, 3, 120), Place(TICKETS, 5, 88)]).encode()
    random_letter = random.Random(1)

    for at in range(3, len(text) - 1):
        slip = text[:at] + random_letter.choice([c for c in "ABCxyz019" if c != text[at]]) + text[at + 1 :]
        with pytest.raises(BadToken):
            Token.parse(slip)


def progress(tickets: int = 0, settled: int = -1, decided: tuple[int, ...] = (), outcomes: int = 0) -> Progress:
    """How far ticket_status and outcomes are in partition 0, and causes in partition 0 are settled."""
    positions = {"ticket_status": {(TICKETS, 0): tickets}, "outcomes": {(OUTCOMES, 0): outcomes}}
    return Progress(positions, {(FACTS, 0): Reach(settled, settled, decided)})


def open_after(token: Token, *looks: Progress) -> Demands:
    demands = demands_of(TICKET_STATUS, token)
    for look in looks:
        demands = still_open(TICKET_STATUS, demands, look)
    return demands


def test_part_on_tickets_is_reached_when_the_position_is_past_it() -> None:
    token = Token.of([Place(TICKETS, 0, 4)])

    assert open_after(token, progress(tickets=4))
    assert not open_after(token, progress(tickets=5))


def test_part_on_contacts_is_reached_when_its_decisions_are_applied() -> None:
    token = Token.of([Place(FACTS, 0, 9)])

    assert open_after(token, progress(tickets=99, settled=8, decided=(30,)))
    assert open_after(token, progress(tickets=30, settled=9, decided=(30,)))
    assert not open_after(token, progress(tickets=31, settled=9, decided=(30,)))


def test_causes_settled_meanwhile_do_not_make_the_wait_longer() -> None:
    token = Token.of([Place(FACTS, 0, 9)])

    assert not open_after(token, progress(tickets=30, settled=9, decided=(30,)), progress(tickets=31, settled=80, decided=(300,)))


def test_part_on_outcomes_is_reached_through_the_decisions_they_name() -> None:
    token = Token.of([Place(OUTCOMES, 0, 5)])

    assert open_after(token, progress(tickets=99, outcomes=5, settled=3, decided=(30,)))
    assert open_after(token, progress(tickets=30, outcomes=6, settled=3, decided=(30,)))
    assert not open_after(token, progress(tickets=31, outcomes=6, settled=3, decided=(30,)))


@pytest.mark.parametrize("place", [Place("hotline.unheard", 0, 0), Place(TICKETS, 77, 0), Place(FACTS, 77, 0)])
def test_unknown_part_never_counts_as_reached(place: Place) -> None:
    assert open_after(Token.of([place]), progress(tickets=99, settled=99, decided=(1,)))


def test_model_that_follows_causes_itself_must_also_have_passed_them() -> None:
    token = Token.of([Place(FACTS, 0, 9)])
    ahead = {"audit_log": {(FACTS, 0): 10, (TICKETS, 0): 31}}
    behind = {"audit_log": {(FACTS, 0): 9, (TICKETS, 0): 31}}
    reaches = {(FACTS, 0): Reach(9, 9, (30,))}

    assert not still_open(AUDIT_LOG, demands_of(AUDIT_LOG, token), Progress(ahead, reaches))
    assert still_open(AUDIT_LOG, demands_of(AUDIT_LOG, token), Progress(behind, reaches))
