"""S01, S16, S17, S20: who publishes dies at each step, says everything again, comes by two channels, brings too much."""

import base64
import http.client
import json
from contextlib import ExitStack

import pytest

from tests.faults import harm
from tests.faults.history import UNKNOWN
from tests.faults.load import heard_of
from tests.faults.site import Site
from tests.journeys.door import Door, request
from tests.journeys.through import given
from tests.oracle import Told, by_cause
from tests.waiting import until

LIMIT_S = 30.0
TOO_LARGE = http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE

pytestmark = [pytest.mark.faults, pytest.mark.parts]


def test_s01_a_publisher_killed_at_any_step_loses_nothing_and_doubles_nothing(site: Site) -> None:
    """Three intakes, each armed to die before it hands a record over, after that, and after Kafka's yes; their callers repeat elsewhere."""
    already = sum(heard.outcome == UNKNOWN for heard in site.history.heard)
    steps = harm.PUBLISHER_STEPS
    with ExitStack() as running:
        armed = [running.enter_context(site.second_intake(f"kill:{step}:3")) for step in steps]
        with site.load(20, site.settings.intake_port, *(port for port, _ in armed)):
            harm.wait_crashed(site, steps, [one for _, one in armed], "intake")

    assert site.judged() == []
    assert sum(heard.outcome == UNKNOWN for heard in site.history.heard) > already
    assert site.tallies["repeats on hotline.contacts"] > 0
    assert site.tallies["outcome duplicate"] > 0


def test_s16_an_event_sent_again_and_again_over_restarts_has_one_effect(site: Site) -> None:
    first = until(lambda: given(site.settings, "five-times"), LIMIT_S)[0]
    for victim in ("intake", "desk", "relay", "intake"):
        harm.kill(site, victim)
        again = until(lambda: given(site.settings, "five-times"), LIMIT_S)[0]
        assert again.document["accepted"] == first.document["accepted"]

    assert site.judged() == []
    results = _results_of(site.records(), bytes.fromhex(first.document["accepted"][0]["event_id"]))
    assert results == ["decided", "duplicate", "duplicate", "duplicate", "duplicate"]


def _results_of(records: list[Told], event_id: bytes) -> list[str]:
    """Return what became of each record of an event, in the order of the log."""
    places = [(r.topic, r.partition, r.offset) for r in records if r.name and r.fields["event_id"] == event_id]
    found = by_cause(records)
    return [found[place][-1]["result"] for place in sorted(places)]


def test_s17_two_channels_that_speak_of_one_ticket_keep_it_one_life(site: Site) -> None:
    """A form opens a ticket; a call about the same matter is noted as belonging to it, while commands reach it from elsewhere."""
    door = Door(site.settings)
    (number,) = door.tickets_of(door.give("cabinet", request("two-channels")))

    answers = [door.give("phone", document) for document in _call("two-channels-call", number)]
    until(lambda: door.order("two-channels-0", command="take", ticket=number, queue="technical").status == http.HTTPStatus.OK)
    for n in (1, 2):
        door.order(f"two-channels-{n}", command="take", ticket=number, queue="technical")

    assert {answer.status for answer in answers} == {http.HTTPStatus.ACCEPTED}
    assert site.judged() == []
    lives = [r for r in site.records() if r.folder == "tickets" and r.fields["number"] == number]
    assert {r.partition for r in lives} == {lives[0].partition}


def _call(call: str, number: str) -> list[dict[str, object]]:
    """A call that an operator notes as belonging to a ticket of another channel."""
    said = {"call": call, "occurred_at": "2025-03-14T12:00:00+03:00"}
    return [
        {**said, "event": "answered", "sequence": 1, "operator": "17"},
        {**said, "event": "ended", "sequence": 2, "ending": "completed", "talk_s": 60},
        {**said, "event": "noted", "id": f"{call}-note", "operator": "17", "disposition": "belongs_to", "ticket": number},
    ]


@pytest.mark.parametrize(("size_bytes", "limit"), [(900_000, ""), (1_000_000, ""), (1_100_000, "json_bytes"), (10_000_000, "json_bytes")])
def test_s20_what_is_too_large_is_refused_by_name_and_never_dropped_in_silence(site: Site, size_bytes: int, limit: str) -> None:
    own_id = f"large-{size_bytes}"
    body = _of_size(own_id, size_bytes)

    answer = Door(site.settings).give("cabinet", body)
    site.history.note(heard_of(own_id, answer))

    assert (answer.status, answer.document.get("limit", "")) == (TOO_LARGE if limit else http.HTTPStatus.ACCEPTED, limit)
    assert site.judged() == []


def _of_size(own_id: str, size_bytes: int) -> dict[str, object]:
    """A form whose JSON is exactly so long, by a file in it."""
    bare = len(json.dumps(request(own_id, files=[{"content_base64": "", "media_type": "text/plain"}])))
    room = size_bytes - bare
    content = base64.b64encode(b"x" * (room // 4 * 3)).decode()
    form = request(own_id, files=[{"content_base64": content, "media_type": "text/plain"}])
    return {**form, "text": str(form["text"]) + "." * (size_bytes - len(json.dumps(form)))}
