"""The standing check: causes that have waited too long for an outcome."""

import psycopg
import pytest

from consumers.desk.unsettled import find_unsettled
from events.places import Place
from projectors.audit_log import AUDIT_LOG
from projectors.outcomes import OUTCOMES_MODEL
from tests.consumers.facts import request
from tests.given import Log
from tests.made import settled

pytestmark = pytest.mark.parts

_FACTS = "hotline.contacts"


def test_causes_without_an_outcome_are_found_once_they_are_old_enough(database: str) -> None:
    log = Log()
    causes = [log.append(request(f"form-{n}")) for n in range(5)]
    for n in (0, 1, 3):
        log.append(settled(Place(_FACTS, 0, n), result="no_change"))
    log.deliver(database, [AUDIT_LOG, OUTCOMES_MODEL])
    last = causes[-1].appended_at

    def found(older_than_s: float, now_us: int, most: int = 10) -> list[int]:
        with psycopg.connect(database) as db:
            return [place.offset for place in find_unsettled(db, older_than_s, now_us, most)]

    assert found(60, last + 61_000_000) == [2, 4]
    assert found(60, last + 61_000_000, most=1) == [2]
    assert found(60, last + 59_000_000) == []
