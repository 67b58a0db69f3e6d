"""Whoever says something and reads it back with the token he was given never sees less, however slow desk and projectors are."""

from tests.faults.site import Site
from tests.faults.tokens import BEYOND_S, WAIT_MS, ask_many, slowed

TIMES, ASKERS = 200, 12


def test_no_answer_with_a_token_is_stale_and_every_wait_is_bounded(site: Site) -> None:
    with slowed(site.settings.database):
        figures = ask_many(site.settings, TIMES, ASKERS)

    assert figures.stale == []
    assert sum(figures.turns.values()) == TIMES
    assert figures.longest_answer_s < WAIT_MS / 1000 + BEYOND_S
    assert set(figures.reads) == {"contact", "card", "card as of", "history", "list", "list as of"}
    assert figures.late > 0, "nothing was slow enough to show anything"
