"""`hotline verify`: what it says, its exit codes, and the repair of one ticket."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from consumers.drift.audit import SliceTooWide, Task
from deploy.hotline import exit_code
from events.settings import Settings
from tests.consumers.drift.audited import Audited, a_life, audited, new_number

pytestmark = pytest.mark.parts
MOST_HALVINGS = 20
HARM = "UPDATE ticket_status_v1 SET queue = 'else' WHERE number = %s"


@pytest.fixture(scope="module")
def site(stack: Settings) -> Iterator[Audited]:
    with audited(stack) as here:
        here.follow()
        yield here


@pytest.fixture
def verify(site: Audited, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any]]:
    """Run the command with --json on the test's own database; return its exit code and answer."""
    monkeypatch.setenv("HOTLINE_KAFKA", site.settings.kafka_address)
    monkeypatch.setenv("HOTLINE_DATABASE_URL", site.settings.database)

    def run(*words: str) -> tuple[int, Any]:
        capsys.readouterr()  # what the follower of the test has logged
        code = exit_code(["verify", *words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


def test_all_tickets_are_compared_and_a_corrupted_one_is_named(site: Audited, verify: Callable[..., tuple[int, Any]]) -> None:
    number = new_number()
    site.publish(a_life(number))

    before = verify()
    site.change(HARM, number)
    after, other = verify("ticket_status"), verify("retention")
    site.repaired(number)

    assert (before[0], before[1]["findings"], before[1]["tickets"] > 0) == (0, [], True)
    assert after[0] == 1
    assert after[1]["findings"] == [{"model": "ticket_status", "key": number, "what": "differs", "columns": ["queue"]}]
    assert other[0] == 0


def test_one_ticket_is_shown_by_a_dry_run_and_repaired_without(site: Audited, verify: Callable[..., tuple[int, Any]]) -> None:
    number = new_number()
    site.publish(a_life(number))
    site.change(HARM, number)

    shown = verify("--repair", number, "--dry-run")
    still = verify("--ticket", number)
    repaired = verify("--repair", number)

    assert (shown[0], still[0], shown[1]["findings"]) == (1, 1, still[1]["findings"])
    assert (repaired[0], repaired[1]["findings"]) == (0, [])
    assert {one["model"]: one["records"] for one in repaired[1]["repairs"]}["ticket_status"] == 5
    assert site.db.execute("SELECT queue FROM ticket_status WHERE number = %s", [number]).fetchone() == ("accounts",)


def test_a_share_is_less_than_all_and_a_slice_that_is_too_wide_is_split(
    site: Audited, verify: Callable[..., tuple[int, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    site.publish([event for _ in range(20) for event in a_life(new_number())])
    there = site.tickets()
    monkeypatch.setattr("deploy.commands.verify._most_tickets", lambda _: there * 2 // 3)

    all_of_them, some = verify("ticket_status"), verify("ticket_status", "--share", "0.3")

    assert all_of_them[1]["tickets"] == there
    assert 0 < some[1]["tickets"] < there


def test_bucket_that_no_pass_can_hold_is_said(
    site: Audited, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verify: Callable[..., tuple[int, Any]]
) -> None:
    tries = []

    def too_wide(_: object, task: Task, by: str) -> None:
        tries.append(task.wanted)
        assert len(tries) < MOST_HALVINGS, "it reads the same bucket again and again"
        raise SliceTooWide

    monkeypatch.setattr("consumers.drift.passes.make_pass", too_wide)

    code = exit_code(["verify"])

    assert code == 1
    assert tries[-1].width == 1
    assert "tickets_per_pass" in capsys.readouterr().err


def test_people_read_lines_and_progress_goes_to_standard_error(
    site: Audited, verify: Callable[..., tuple[int, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    number = new_number()
    site.publish(a_life(number))
    site.change(HARM, number)

    code = exit_code(["verify", "ticket_status"])
    seen = capsys.readouterr()
    site.repaired(number)

    assert code == 1
    assert f"{number}  differs  queue" in seen.out
    assert "100 %" in seen.err
    assert "s left" not in seen.out


@pytest.mark.parametrize("words", ["clerks", "--share 2", "--dry-run", "--ticket a --repair b", "--ticket a --share 0.5"])
def test_wrong_usage_is_exit_code_2(words: str) -> None:
    assert exit_code(["verify", *words.split()]) == 2


def test_part_that_is_away_is_exit_code_3(site: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTLINE_DATABASE_URL", site.settings.database)
    monkeypatch.setenv("HOTLINE_KAFKA", "127.0.0.1:1")
    without_kafka = exit_code(["verify"])
    monkeypatch.setenv("HOTLINE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none?connect_timeout=1")

    assert (without_kafka, exit_code(["verify"])) == (3, 3)
