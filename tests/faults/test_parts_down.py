"""S04, S05, S08: the broker restarted in order and killed, Postgres stopped at once, under load. What had a yes stays; all heals."""

import http.client
import signal

import pytest

from tests.faults import harm
from tests.faults.history import OK
from tests.faults.site import Site
from tests.journeys.door import Door, request
from tests.journeys.stacks import entries
from tests.journeys.through import goes_through
from tests.waiting import until

KAFKA_BACK_S, POSTGRES_BACK_S = 30.0, 20.0  # I9

pytestmark = [pytest.mark.faults, pytest.mark.parts]


def test_s04_a_broker_that_restarts_in_order_comes_back_with_everything(site: Site) -> None:
    with site.load(per_s=12):
        harm.stop_part(site, "kafka", signal.SIGTERM)
        site.recovered("restart of kafka", goes_through(site.settings, "after-restart"), KAFKA_BACK_S)

    assert site.judged() == []


def test_s05_a_broker_that_is_killed_loses_nothing_it_has_acknowledged(site: Site) -> None:
    already = _not_told_yes(site)
    with site.load(per_s=20):
        harm.kill(site, "kafka")
        site.recovered("kill of kafka", goes_through(site.settings, "after-kill"), KAFKA_BACK_S)

    assert site.judged() == []
    assert _not_told_yes(site) > already


def _not_told_yes(site: Site) -> int:
    return sum(heard.outcome != OK and heard.status in (0, 503, 504) for heard in site.history.heard)


def test_s08_postgres_stopped_at_once_heals_from_kafka_and_gives_no_number_twice(site: Site) -> None:
    with site.load(per_s=12):
        harm.stop_part(site, "postgres", signal.SIGQUIT)
        taken = Door(site.settings).give("cabinet", request("while-postgres-is-away"))
        site.recovered("stop of postgres", goes_through(site.settings, "after-postgres"), POSTGRES_BACK_S)

    assert taken.status == http.HTTPStatus.ACCEPTED
    assert site.judged() == []


def test_s08_postgres_stopped_again_as_soon_as_it_is_back_heals_too(site: Site) -> None:
    with site.load(per_s=12):
        for _ in range(2):
            harm.stop_part(site, "postgres", signal.SIGQUIT)
            until(lambda: entries(site.settings)["postgres"].state == "running", POSTGRES_BACK_S)
        site.recovered("stops of postgres", goes_through(site.settings, "after-postgres-again"), POSTGRES_BACK_S)

    assert site.judged() == []
