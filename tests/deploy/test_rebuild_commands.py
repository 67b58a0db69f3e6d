"""`hotline rebuild`, `compare` and `switch` as a person or a script calls them: words, objects, exit codes."""

import json
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from deploy.hotline import exit_code
from deploy.stack import hotline
from events.settings import Settings
from projectors.builds import list_builds
from projectors.ticket_status import TICKET_STATUS
from tests.given import given
from tests.made import registered, taken
from tests.projectors.two_builds import Builds

FIRST, SECOND = "RU-2025-000001", "RU-2025-000002"
NAMES = ("ticket_status_v1", "ticket_status_v1_b2")
_LIMIT_S = 60.0

pytestmark = pytest.mark.parts


@pytest.fixture
def beside(stack: Settings, database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Builds]:
    """The database that commands find: a second build of `ticket_status` stands beside the one that serves, equal to it."""
    monkeypatch.setenv("HOTLINE_DATABASE_URL", database)
    monkeypatch.setenv("HOTLINE_KAFKA", stack.kafka_address)
    both = Builds(database, TICKET_STATUS, TICKET_STATUS)
    both.feed_both(given(registered(FIRST), registered(SECOND), taken(2, FIRST)).records)
    yield both
    both.close()


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Any:
    """What a command said in one object, and its exit code."""

    def call(*words: str) -> tuple[int, dict[str, Any]]:
        code = exit_code([*words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


def _states(both: Builds) -> dict[str, bool]:
    return {build.consumer: build.serving for build in list_builds(both.db)}


def test_equal_builds_are_compared_and_switched_to_and_back(beside: Builds, said: Any) -> None:
    compared = said("compare", "ticket_status")
    planned = said("switch", "ticket_status", "--dry-run")
    before = _states(beside)
    switched = said("switch", "ticket_status")
    after = _states(beside)
    back = said("switch", "ticket_status", "--back")

    assert (compared[0], compared[1]["rows"], compared[1]["rows_unexpected"]) == (0, 2, 0)
    assert planned == (0, {"model": "ticket_status", "old": NAMES[0], "new": NAMES[1], "dry_run": True})
    assert (before, after) == ({NAMES[0]: True, NAMES[1]: False}, {NAMES[0]: False, NAMES[1]: True})
    assert (switched[0], switched[1]["new"], back[0], back[1]["new"]) == (0, NAMES[1], 0, NAMES[0])
    assert _states(beside) == before


def test_a_difference_is_told_with_its_ticket_and_stands_against_a_switch(
    beside: Builds, said: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    beside.db.execute(f"UPDATE \"{beside.new.schema}\".ticket_status_v1 SET queue = 'portal' WHERE number = %s", [FIRST])

    code, found = said("compare", "ticket_status")
    refused = said("switch", "ticket_status")

    assert (code, found["rows_unexpected"], found["differences"][0]["ticket"]) == (1, 1, FIRST)
    assert (refused[0], refused[1]["differences"]) == (1, [["ticket_status", FIRST, "queue", "accounts", "portal"]])
    assert (exit_code(["compare", "ticket_status"]), exit_code(["switch", "ticket_status"])) == (1, 1)
    assert f"{FIRST}  ticket_status.queue: accounts → portal" in capsys.readouterr().out
    assert _states(beside)[NAMES[0]]


def test_a_switch_compares_anew_only_what_is_older_than_ten_minutes(beside: Builds, said: Any) -> None:
    said("compare", "ticket_status")
    beside.db.execute("UPDATE read_model_comparison SET compared_at = compared_at - 500 * 1000000")
    before = _compared_at(beside)

    switched = said("switch", "ticket_status")
    kept = _compared_at(beside)
    said("switch", "ticket_status", "--back")
    beside.db.execute("UPDATE read_model_comparison SET compared_at = compared_at - 200 * 1000000")
    again = said("switch", "ticket_status")

    assert (switched[0], kept, again[0]) == (0, before, 0)
    assert _compared_at(beside) > before


def _compared_at(both: Builds) -> int:
    row = both.db.execute("SELECT compared_at FROM read_model_comparison").fetchone()
    assert row is not None
    return int(row[0])


def test_a_build_that_is_not_wanted_is_dropped_and_the_serving_one_never(beside: Builds, said: Any) -> None:
    planned = said("rebuild", "ticket_status", "--drop", NAMES[1], "--dry-run")
    kept = _states(beside)
    dropped = said("rebuild", "ticket_status", "--drop", NAMES[1])

    assert (planned[0], planned[1]["tables"], len(kept)) == (0, ["ticket_status_v1"], 2)
    assert (dropped[0], _states(beside)) == (0, {NAMES[0]: True})
    assert exit_code(["rebuild", "ticket_status", "--drop", NAMES[0]]) == 1
    assert exit_code(["rebuild", "ticket_status", "--drop", "ticket_status_v9"]) == 2
    assert exit_code(["compare", "ticket_status"]) == 1


def test_a_model_that_nobody_knows_is_wrong_usage(beside: Builds, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["rebuild", "weather"]) == 2
    assert "there are: ticket_status" in capsys.readouterr().err


def test_a_rebuild_is_predicted(beside: Builds, said: Any) -> None:
    code, told = said("rebuild", "ticket_status", "--dry-run")

    assert (code, told["build"], told["resumed_at"]) == (0, "ticket_status_v1_b3", 0)
    assert told["seconds"] > 0


@pytest.mark.parametrize(("point", "serves"), [("switch.before_commit", NAMES[0]), ("switch.committed", NAMES[1])])
def test_a_switch_that_is_killed_was_made_or_was_not(beside: Builds, said: Any, point: str, serves: str) -> None:
    said("compare", "ticket_status")
    command = hotline(Settings(crash_point=f"kill:{point}"), "switch", "ticket_status")

    killed = subprocess.run(list(command.words), cwd=command.folder, env=dict(command.environment or {}), timeout=_LIMIT_S, check=False)

    assert killed.returncode == -signal.SIGKILL
    assert _states(beside)[serves]
    rows = beside.db.execute("SELECT count(*) FROM ticket_status").fetchone()
    assert rows == (2,)
