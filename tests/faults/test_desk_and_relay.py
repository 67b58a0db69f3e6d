"""S03: `kill -9` of desk, relay and API at each step. No number twice, no version twice, every cause one outcome."""

import pytest

from tests.faults import harm
from tests.faults.site import Site
from tests.journeys.through import goes_through

BOUND_S = 15.0

pytestmark = [pytest.mark.faults, pytest.mark.parts]


def test_s03_a_desk_killed_at_any_step_gives_no_number_and_no_outcome_twice(site: Site) -> None:
    with site.load(per_s=12):
        harm.crash(site, harm.DESK_STEPS, "desk")

    assert site.judged() == []


def test_s03_a_relay_killed_at_any_step_repeats_and_nothing_is_doubled(site: Site) -> None:
    with site.load(per_s=12):
        harm.crash_relays(site, harm.RELAY_STEPS)

    assert site.judged() == []
    assert site.tallies["repeats on hotline.tickets"] > 0
    assert site.tallies["repeats on hotline.outcomes"] > 0


def test_s03_an_api_that_is_killed_answers_again_with_everything(site: Site) -> None:
    with site.load(per_s=12):
        for victim in ("api", "intake"):
            harm.kill(site, victim)
            site.recovered(victim, goes_through(site.settings, f"after-{victim}"), BOUND_S)

    assert site.judged() == []
