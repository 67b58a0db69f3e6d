"""`hotline dead-letters`: each place once, however often it was said."""

import json

import pytest

from deploy.hotline import exit_code
from events.dead_letters import RecordUnreadable
from events.settings import Settings
from tests.consumers.on_parts import publish
from tests.made import made

pytestmark = pytest.mark.parts


def test_a_dead_letter_tells_place_and_reason_once_however_often_it_was_said(
    stack: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOTLINE_KAFKA", stack.kafka_address)
    letter = made(RecordUnreadable, consumer="desk", topic="hotline.contacts", partition=7, offset=123_456, reason="too short")
    publish(stack, [letter, letter])

    codes = exit_code(["dead-letters", "--json"]), exit_code(["dead-letters"])

    lines = capsys.readouterr().out.splitlines()
    told = [json.loads(line) for line in lines if line.startswith("{")]
    ours = [one for one in told if (one["partition"], one["offset"]) == (7, 123_456)]
    assert codes == (1, 1)
    assert [(one["topic"], one["reason"], one["consumer"]) for one in ours] == [("hotline.contacts", "too short", "desk")]
    assert sum("hotline.contacts/7/123456" in line and "too short" in line for line in lines if not line.startswith("{")) == 1


def test_kafka_away_is_exit_code_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTLINE_KAFKA", "127.0.0.1:1")

    assert exit_code(["dead-letters"]) == 3
