"""A read model built again from offset 0 in a schema of its own, on a real Kafka and a real Postgres."""

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from consumers.rebuild import NotRebuilt, rebuild
from events.envelope import FACTS, Event
from events.places import Partition
from events.settings import Settings
from projectors.contacts import CONTACTS
from projectors.model import ReadModel, consumer_of
from projectors.positions import list_positions
from tests.consumers.facts import call_started, request
from tests.consumers.on_parts import ends_of, following, publish
from tests.waiting import until

pytestmark = pytest.mark.parts
FACT_TABLE = "contact_fact_v1"


def _here(stack: Settings, database: str) -> Settings:
    return stack.model_copy(update={"database_url": SecretStr(database)})


def _ends(settings: Settings, model: ReadModel) -> dict[Partition, int]:
    return {(topic, number): past for topic in model.topics for number, (_, past) in ends_of(settings, topic).items()}


def _follow_live(stack: Settings, database: str, model: ReadModel) -> dict[Partition, int]:
    ends = _ends(stack, model)
    with following(stack, database, model) as live, psycopg.connect(database, autocommit=True) as db:

        def caught_up() -> bool:
            live.step()
            reached = list_positions(db, [consumer_of(model)])[consumer_of(model)]
            return all(reached.get(partition, 0) >= past for partition, past in ends.items())

        until(caught_up)
    return ends


def _rows_only_in(database: str, one: str, other: str) -> int:
    query = sql.SQL("SELECT count(*) FROM (SELECT * FROM {} EXCEPT ALL SELECT * FROM {}) AS differing")
    with psycopg.connect(database) as db:
        row = db.execute(query.format(sql.Identifier(one, FACT_TABLE), sql.Identifier(other, FACT_TABLE))).fetchone()
    assert row is not None
    return int(row[0])


def _differing(database: str, one: str, other: str) -> tuple[int, int]:
    return _rows_only_in(database, one, other), _rows_only_in(database, other, one)


def _holds(database: str, schema: str, event: Event) -> bool:
    query = sql.SQL("SELECT 1 FROM {} WHERE event_id = %s").format(sql.Identifier(schema, FACT_TABLE))
    with psycopg.connect(database) as db:
        return db.execute(query, [event.event_id]).fetchone() is not None


def test_a_rebuild_from_the_beginning_equals_the_live_table_row_by_row(stack: Settings, database: str) -> None:
    publish(stack, [call_started("again-1"), request("again-2"), request("again-3")])
    ends = _follow_live(stack, database, CONTACTS)

    rebuild(_here(stack, database), CONTACTS, "again", ends)

    assert _differing(database, "public", "again") == (0, 0)


def test_a_row_that_differs_is_seen_from_both_sides(stack: Settings, database: str) -> None:
    publish(stack, [request("differs")])
    ends = _follow_live(stack, database, CONTACTS)
    rebuild(_here(stack, database), CONTACTS, "again", ends)

    with psycopg.connect(database) as db:
        db.execute(f"UPDATE {FACT_TABLE} SET language = 'xx' WHERE event_id = (SELECT min(event_id) FROM {FACT_TABLE})")

    assert _differing(database, "public", "again") == (1, 1)


def test_a_rebuild_stops_at_the_offsets_it_was_given_and_goes_on_from_there(stack: Settings, database: str) -> None:
    here, early, late = _here(stack, database), request("early"), request("late")
    publish(stack, [early])
    ends = _ends(stack, CONTACTS)
    publish(stack, [late])

    reached = rebuild(here, CONTACTS, "bounded", ends)

    assert {p: reached[p] for p in reached if reached[p]} == {p: past for p, past in ends.items() if past}
    assert (_holds(database, "bounded", early), _holds(database, "bounded", late)) == (True, False)

    rebuild(here, CONTACTS, "bounded", _ends(stack, CONTACTS))

    assert _holds(database, "bounded", late)


def test_a_rebuild_that_cannot_reach_its_end_says_so(stack: Settings, database: str) -> None:
    beyond = {(FACTS, 0): 10**9}

    with pytest.raises(NotRebuilt):
        rebuild(_here(stack, database), CONTACTS, "beyond", beyond, limit_s=2)


def test_the_schema_is_one_plain_word(stack: Settings) -> None:
    with pytest.raises(ValueError, match="one plain word"):
        rebuild(stack, CONTACTS, "public, other", {})
