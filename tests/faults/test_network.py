"""S10, S12: second processes cut from Kafka, from Postgres, one way, flapping; and a slow, lossy, sliced line for all they do."""

import pytest

from tests.faults import harm
from tests.faults.history import UNKNOWN
from tests.faults.site import Site, resident_bytes

CUT_S, FLAPPING_S, LOSSY_S = 4.0, 8.0, 10.0
MEMORY_TIMES = 2.0

pytestmark = [pytest.mark.faults, pytest.mark.parts]


def test_s10_who_was_cut_from_both_meets_the_fence_when_postgres_hears_him_again(site: Site) -> None:
    fenced = site.fenced()

    with site.load(per_s=12), harm.second_machine(site) as second:
        harm.cut_both(site, second)

    assert site.judged() == []
    assert site.fenced() > fenced


def test_s10_who_hears_nothing_on_one_way_and_who_flaps_does_no_harm(site: Site) -> None:
    with site.load(per_s=12), harm.second_machine(site):
        harm.one_way(site, site.kafka_line, CUT_S)
        harm.one_way(site, site.database_line, CUT_S)
        falls = harm.flap(site, FLAPPING_S)

    assert min(falls) > 2
    assert site.judged() == []


def test_s12_a_slow_lossy_sliced_network_doubles_nothing_and_fills_no_memory(site: Site) -> None:
    """Callers of an intake, a desk, a relay and all projectors whose every segment is late, cut small, and now and then lost."""
    with site.second_intake(by_kafka_line=True) as (port, intake), harm.second_machine(site) as second:
        own = (intake.process.pid, second.process.pid)
        before = {pid: resident_bytes(pid) for pid in own}
        with site.load(12, port, port, site.settings.intake_port), harm.bad_lines(site):
            harm.wait_s(LOSSY_S)
            heavy = {pid: resident_bytes(pid) for pid in own}

    assert site.judged() == []
    assert all(heavy[pid] < MEMORY_TIMES * before[pid] for pid in own)
    assert min(site.kafka_line.counts[what] for what in ("closed", "sliced", "delayed")) > 0
    assert UNKNOWN in {heard.outcome for heard in site.history.heard} or site.tallies["repeats on hotline.contacts"] > 0
