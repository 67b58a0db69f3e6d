"""One believable day through all processes, then every question about it: is it all there, once, in order, the same again, and sealed?"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import chain

import pytest
from psycopg import sql

from consumers.rebuild.rebuilding import rebuild
from events.vault.files import FileStore
from events.vault.opening import open_vault
from projectors import database
from projectors.builds import drop, list_builds
from projectors.builds.comparing import compare
from projectors.model import ReadModel
from projectors.registry import PROJECTIONS
from tests import canary, oracle
from tests.journeys.opened import Opened, opened, put_in, strange
from tests.journeys.played import CANARIES, Played, after, facts_of, findings, play_day, repeats_on
from tests.journeys.stacks import whole_stack

SEED, CONTACTS, CONTACTS_PER_S = 20250314, 300, 15.0
CHANNELS = {"phone", "chat", "email", "cabinet", "complaint"}

pytestmark = [pytest.mark.journey, pytest.mark.parts]


@pytest.fixture(scope="module")
def played() -> Iterator[Played]:
    """The finished day; nobody may change it."""
    with whole_stack() as settings:
        yield after(settings, play_day(settings, SEED, CONTACTS, CONTACTS_PER_S))


@pytest.fixture(scope="module")
def opened_values(played: Played) -> list[Opened]:
    vault = open_vault(played.settings)
    return list(opened(played.told, cache(vault.key), FileStore(played.settings.files_path)))


def test_everything_accepted_is_there_once_with_its_outcome_and_its_ticket(played: Played) -> None:
    assert findings(played) == []
    assert {accepted.message.channel for accepted in played.ledger.accepted} == CHANNELS
    assert len(played.ledger.accepted) > CONTACTS


@pytest.mark.parametrize("lost", ["CallStarted", "TakeTicket", "CauseSettled", "TicketRegistered", "TicketTaken"])
def test_the_count_notices_one_lost_record_of_any_kind(played: Played, lost: str) -> None:
    one = next(r for r in played.told if r.short == lost and r.fields.get("result", "decided") == "decided")

    without = replace(played, told=[r for r in played.told if r is not one])

    assert findings(without) != []


def test_the_count_notices_a_second_effect_and_the_oracle_a_row_too_many(played: Played) -> None:
    taken = next(r for r in played.told if r.short == "TicketTaken")
    forked = taken._replace(offset=10**6, fields={**taken.fields, "event_id": b"another event id"})
    ahead = taken._replace(offset=10**6, fields={**taken.fields, "event_id": b"another event id", "version": 10**6})

    assert findings(replace(played, told=[*played.told, forked])) != []
    assert findings(replace(played, told=[*played.told, ahead])) != []
    without = [r for r in played.told if r.fields["event_id"] != played.ledger.accepted[0].event_id]
    assert oracle.differences(played.settings.database, without) != []


def test_a_contact_sent_twice_lies_on_the_log_twice_and_counts_once(played: Played) -> None:
    duplicates = [r for r in played.told if r.short == "CauseSettled" and r.fields["result"] == "duplicate"]

    assert repeats_on(played.told, "hotline.contacts") > 0
    assert len(duplicates) >= repeats_on(played.told, "hotline.contacts")


def test_a_refused_command_has_its_rule_and_no_decision(played: Played) -> None:
    refused = [r.fields for r in played.told if r.short == "CauseSettled" and r.fields["result"] == "refused"]

    assert {"stale_version", "not_in_this_status", "idempotency_key_reused", "unknown_ticket"} == {r["rule"] for r in refused}
    assert not [r for r in refused if r["decisions"]]


def test_every_read_model_equals_a_naive_fold_of_the_log(played: Played) -> None:
    assert oracle.differences(played.settings.database, played.told) == []


@pytest.mark.parametrize("model", PROJECTIONS, ids=lambda model: model.name)
def test_a_rebuild_from_offset_0_equals_the_live_tables(played: Played, model: ReadModel) -> None:
    done = rebuild(played.settings, model, workers=1)

    with database.connect(played.settings.database, "journey") as db:
        (live,) = (build for build in list_builds(db, [model.name]) if build.serving)
        found = compare(db, live, done.build, {})
        rows = [db.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(done.build.schema, t))) for t in done.build.tables]
        counts = [cursor.fetchone() for cursor in rows]
        drop(db, done.build)
    assert done.followed
    assert (found.differences, found.rows_unsettled, found.unpaired) == ([], 0, [])
    assert all(count and count[0] for count in counts)


def test_every_sealed_value_opens_to_what_was_put_in(played: Played, opened_values: list[Opened]) -> None:
    clears = put_in(played.ledger, played.told, open_vault(played.settings).identity())

    assert strange(opened_values, clears) == []
    assert {o.record.folder for o in opened_values} == {
        "calls",
        "notes",
        "chats",
        "letters",
        "cabinet",
        "complaints",
        "commands",
        "tickets",
    }


def test_everything_personal_that_was_put_in_is_sealed_in_its_fact(played: Played, opened_values: list[Opened]) -> None:
    clears = put_in(played.ledger, played.told, open_vault(played.settings).identity())

    sealed = {(o.origin_event_id, o.origin_field) for o in opened_values if o.record.fields["event_id"] == o.origin_event_id}

    facts = {r.fields["event_id"]: r.name for r in facts_of(played.told)}
    assert [f"{name} {f}" for event_id, name in facts.items() for f in clears[event_id] if (event_id, f) not in sealed] == []


def test_a_value_that_was_changed_on_the_way_would_be_seen(played: Played, opened_values: list[Opened]) -> None:
    clears = put_in(played.ledger, played.told, open_vault(played.settings).identity())
    changed = [o._replace(clear=o.clear + b" elsewhere") for o in opened_values]

    unnoticed = len(changed) - len(strange(changed, clears))

    assert unnoticed == 0


def test_no_canary_stands_in_clear_anywhere(played: Played) -> None:
    settings = played.settings
    places = chain(
        canary.records(settings.kafka_address),
        canary.columns(settings.database),
        canary.columns(settings.vault),
        canary.files(settings.folder / "logs"),
        canary.files(settings.files_path),
        canary.metrics(settings.intake_port),
        canary.metrics(settings.api_port),
    )

    assert canary.search(places, [getattr(CANARIES, name) for name in CANARIES.__dataclass_fields__]) == []


def test_the_canaries_went_in_and_lie_sealed(opened_values: list[Opened]) -> None:
    everything = b"\n".join(o.clear for o in opened_values)

    assert [name for name in CANARIES.__dataclass_fields__ if getattr(CANARIES, name).encode() not in everything] == []
