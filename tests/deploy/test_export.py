"""`hotline export`: what it says, its exit codes, and what it refuses."""

import csv
import json
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.hotline import exit_code
from events.envelope import FACTS, TICKETS, Event
from events.settings import Settings
from projectors.reads.ticket_facts import MODELS
from projectors.tokens import Token
from tests.consumers.drift.audited import ends_if_known
from tests.consumers.on_parts import publish
from tests.given import given
from tests.made import closed, registered, taken
from tests.waiting import until

pytestmark = pytest.mark.parts
LATE, EARLY, NOWHERE = (Token({(TICKETS, p): offset}).encode() for p, offset in ((0, 10**12), (0, 3), (77, 3)))
Export = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def export(stack: Settings, database: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Export:
    """Return a function that calls the command with --json: its exit code, its answer, and what stood on standard error."""
    monkeypatch.setenv("HOTLINE_KAFKA", stack.kafka_address)
    monkeypatch.setenv("HOTLINE_DATABASE_URL", database)

    def run(*words: str) -> tuple[int, dict[str, Any], str]:
        capfd.readouterr()
        code = exit_code(["export", *words, "--json"])
        said = capfd.readouterr()
        return code, json.loads(said.out or "{}"), said.err

    return run


def put(settings: Settings, *events: Event) -> tuple[str, str]:
    """Publish decisions; return the tokens before and behind them."""
    before = place_of(settings)
    publish(settings, events)
    return before.encode(), place_of(settings).encode()


def place_of(settings: Settings) -> Token:
    ends = until(lambda: ends_if_known(settings.kafka_access, [TICKETS])) or {}
    return Token({partition: past - 1 for partition, past in ends.items() if past > 0})


def a_number() -> str:
    return f"EX-2025-{secrets.randbelow(10**9):09}"


def test_decisions_between_two_tokens_become_csv_that_any_reader_opens(stack: Settings, export: Export, tmp_path: Path) -> None:
    number = a_number()
    since, until = put(stack, registered(number, name=b"sealed", has_name=True), taken(2, number), closed(3, number))

    code, told, progress = export("tickets", "--format", "csv", "--to", str(tmp_path), "--from", since, "--until", until)

    assert (code, told["what"], told["rows"], told["files"], told["until"]) == (0, TICKETS, 3, 1, until)
    assert "3 of 3 rows" in progress
    (path,) = tmp_path.glob("*.csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["type"].rsplit(".", 1)[1], row["number"], row["version"]) for row in rows] == [
        ("TicketRegistered", number, "1"),
        ("TicketTaken", number, "2"),
        ("TicketClosed", number, "3"),
    ]
    assert (rows[0]["occurred_at"], rows[0]["has_name"], rows[1]["queue"]) == ("2025-03-14T06:26:53.120000Z", "true", "accounts")
    assert not {"name", "phone", "text"} & rows[0].keys()


def test_second_call_with_other_words_is_refused_and_with_the_same_goes_on(stack: Settings, export: Export, tmp_path: Path) -> None:
    since, _ = put(stack, taken(2, a_number()))
    words = ["tickets", "--to", str(tmp_path), "--from", since]

    first, again = export(*words, "--format", "csv"), export(*words, "--format", "csv")
    code, _, problem = export(*words, "--format", "avro")

    assert (first[0], again[0], again[1]["resumed_at"], first[1]["until"]) == (0, 0, first[1]["rows"], again[1]["until"])
    assert code == 1
    assert "holds an export with another format" in problem


def test_changed_file_is_found(stack: Settings, export: Export, tmp_path: Path) -> None:
    since, until = put(stack, taken(2, a_number()))
    words = ["tickets", "--format", "csv", "--to", str(tmp_path), "--from", since, "--until", until]
    export(*words)
    (path,) = tmp_path.glob("*.csv")
    path.write_text(path.read_text("utf-8").replace("accounts", "portal"), "utf-8")

    code, _, problem = export(*words)

    assert code == 1
    assert f"changed since they were written: {path.name}" in problem


def test_dry_run_tells_how_much_and_writes_nothing(stack: Settings, export: Export, tmp_path: Path) -> None:
    since, until = put(stack, taken(2, a_number()), taken(3, a_number()))
    folder = tmp_path / "new"

    code, told, _ = export("tickets", "--format", "parquet", "--to", str(folder), "--from", since, "--until", until, "--dry-run")

    assert (code, told["rows"], told["dry_run"], folder.exists()) == (0, 2, True, False)


def test_facts_about_tickets_are_one_row_each(export: Export, database: str, tmp_path: Path) -> None:
    log = given(registered(), taken(2), registered("RU-2025-000007"))
    log.deliver(database, MODELS)
    until = Token({(TICKETS, 0): len(log.records) - 1}).encode()

    code, told, _ = export("ticket_facts", "--format", "csv", "--to", str(tmp_path), "--until", until)

    assert (code, told["rows"]) == (0, 2)
    (path,) = tmp_path.glob("*.csv")
    assert path.name == "ticket_facts-000000.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = {row["number"]: row["status"] for row in csv.DictReader(file)}
    assert rows == {"RU-2025-000007": "registered", "RU-2025-001234": "in_processing"}


def test_facts_without_read_models_say_what_to_start(stack: Settings, export: Export, tmp_path: Path) -> None:
    code, _, problem = export("ticket_facts", "--format", "csv", "--to", str(tmp_path))

    assert code == 2
    assert "start the projectors first" in problem


def test_parquet_without_its_packages_names_the_extra(
    stack: Settings, export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "consumers.export.as_parquet", raising=False)

    code, _, problem = export("tickets", "--format", "parquet", "--to", str(tmp_path / "new"))

    assert code == 2
    assert "hotline[lake]" in problem
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nonsense",), 2, "there is no topic hotline.nonsense"),
        (("tickets", "--from", "yesterday"), 2, "--from: a token starts with h1."),
        (("tickets", "--until", Token({(FACTS, 0): 3}).encode()), 2, "--until: the token names no place of hotline.tickets"),
        (("ticket_facts", "--from", Token({(FACTS, 0): 3}).encode()), 2, "--from: the token names no place of hotline.tickets"),
        (("tickets", "--until", LATE), 1, "not reached: hotline.tickets/0 ends at"),
        (("tickets", "--from", LATE), 1, "before 1000000000001 (--from)"),
        (("ticket_facts", "--from", LATE), 1, "before 1000000000001 (--from)"),
        (("tickets", "--from", NOWHERE), 1, "hotline.tickets/77 ends at 0, before 4 (--from)"),
        (("ticket_facts", "--from", NOWHERE), 1, "hotline.tickets/77 ends at 0, before 4 (--from)"),
        (("tickets", "--from", LATE, "--until", EARLY), 2, f"--from includes {TICKETS}/0 up to {10**12}, --until it only up to 3"),
        (("ticket_facts", "--from", LATE, "--until", EARLY), 2, f"--from includes {TICKETS}/0 up to {10**12}, --until it only up to 3"),
        (("tickets", "--from", NOWHERE, "--until", EARLY), 2, "--from includes hotline.tickets/77 up to 3, --until nothing of it"),
    ],
    ids=[
        *("topic", "no token", "until elsewhere", "from elsewhere", "not reached", "from late", "facts from late", "from nowhere"),
        *("facts from nowhere", "from behind until", "facts from behind until", "from nowhere until early"),
    ],
)
def test_what_can_not_be_meant_or_had_is_said_in_one_line(
    export: Export, tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    got, _, problem = export(*words, "--format", "csv", "--to", str(tmp_path))

    assert (got, said in problem) == (code, True), problem


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"plan":3}', b"\xff\xfe"], ids=["a folder", "empty", "half", "no plan", "no text"])
def test_manifest_that_is_none_is_said_in_one_line_and_left_alone(export: Export, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "_manifest.json"
    path.mkdir() if content is None else path.write_bytes(content)

    code, _, problem = export("tickets", "--format", "csv", "--to", str(tmp_path))

    assert (code, problem.splitlines()[-1]) == (1, f"hotline: {path} is no manifest of an export: take an empty folder")
    assert "Traceback" not in problem
    assert list(tmp_path.iterdir()) == [path]
    assert content is None or path.read_bytes() == content


def test_folder_that_is_not_empty_is_refused_by_what_is_in_it(export: Export, tmp_path: Path) -> None:
    (tmp_path / "theirs.csv").write_bytes(b"1,2\n")

    code, _, problem = export("tickets", "--format", "csv", "--to", str(tmp_path), "--until", EARLY)

    assert code == 1
    assert "is not empty, it holds 'theirs.csv'" in problem


def test_place_where_no_folder_can_be_is_said_in_one_line(export: Export, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"theirs")

    for to in (f"{tmp_path}/file/sub", "/proc/x/y"):
        code, _, problem = export("tickets", "--format", "csv", "--to", to)
        assert (code, "Traceback" in problem) == (2, False), problem
        assert problem.splitlines()[-1].startswith(f"hotline: --to: {to} can be no folder: ")

    assert (tmp_path / "file").read_bytes() == b"theirs"


@pytest.mark.parametrize("what", ["tickets", "ticket_facts"])
def test_part_that_is_away_is_exit_code_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setenv("HOTLINE_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("HOTLINE_DATABASE_URL", "postgresql://postgres@127.0.0.1:1/hotline?connect_timeout=1")

    assert exit_code(["export", what, "--format", "csv", "--to", str(tmp_path)]) == 3
