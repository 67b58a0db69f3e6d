"""S02, S15, S24: projectors killed at each step, frozen past their time, joining and leaving. Their rows hold everything, once."""

import random
from contextlib import ExitStack
from time import monotonic

import pytest

from deploy.processes import model_names
from tests.faults import harm
from tests.faults.site import Site

CHURN_S, MOST_AT_ONCE = 12.0, 4
MOST_CHURNS = 4  # beside busy neighbours a process joins too late for its first
CONVERGES_S = 60.0

pytestmark = [pytest.mark.faults, pytest.mark.parts]


def test_s02_a_projector_killed_at_any_step_leaves_nothing_undone_and_nothing_doubled(site: Site) -> None:
    """Each read model gets a second projector that dies at another step, while the first one goes on."""
    models = random.Random(site.history.seed).sample(model_names(), len(harm.LOOP_STEPS))

    with site.load(per_s=12), ExitStack() as running:
        steps = list(zip(models, harm.LOOP_STEPS, strict=True))
        armed = [running.enter_context(site.beside("projector", model, crash_point=f"kill:{step}")) for model, step in steps]
        harm.wait_crashed(site, harm.LOOP_STEPS, armed, "projector")

    assert site.judged() == []


def test_s15_a_projector_that_slept_past_its_time_rolls_back(site: Site) -> None:
    """One freezes with a batch in hand and meets the fence; the other inside its transaction, which the database ends for it."""
    fenced = site.fenced()

    with site.load(per_s=12):
        harm.freeze(site, {"ticket_status": "loop.polled", "contacts": "loop.applied"})

    assert site.judged() == []
    assert site.fenced() > fenced


def test_s24_projectors_that_join_and_leave_all_the_time_converge(site: Site) -> None:
    """Every two seconds one more joins or the oldest leaves, now in order and now killed."""
    consumer = harm.CONSUMERS["audit_log"]
    before = site.epochs(consumer)

    chance = random.Random(site.history.seed)

    def have_changed_hands() -> bool:
        after = site.epochs(consumer)
        return sum(after.values()) > sum(before.values()) + len(after)

    with site.load(per_s=12):
        for _ in range(MOST_CHURNS):
            harm.churn(site, chance, "audit_log", CHURN_S, MOST_AT_ONCE)
            if have_changed_hands():
                break
        since_s = monotonic()

    assert site.judged() == []
    assert monotonic() - since_s < CONVERGES_S
    assert have_changed_hands()
