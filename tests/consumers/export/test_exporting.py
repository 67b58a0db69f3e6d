"""What is whole stays, what is not is made again, and the bytes are the same: exports of rows that lie in memory."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from consumers.export.columns import FLAG, MOMENT, NUMBER, TEXT, Column, Row
from consumers.export.exporting import Asked, Done, Piece, Plan, Progress, export, predict
from consumers.export.folder import MANIFEST, FileChanged, FolderInUse, NoFolder, NotOurs, OtherExport, opened
from consumers.export.formats import FORMATS
from projectors.tokens import Token
from tests.consumers.export import strangers

END = Token({("hotline.tickets", 0): 24})
ROWS: list[Row] = [(f'кабинет, «{n}»\n"x"' if n % 3 else None, n, n % 2 == 0, 1_741_933_613_120_000 + n) for n in range(25)]
READ = {"parquet": strangers.read_parquet, "avro": strangers.read_avro, "csv": strangers.read_csv}


class Died(Exception):
    """The process was ended here."""


class InMemory:
    """Rows that lie in memory; dies while it gives the row of that number."""

    columns = (Column("words", TEXT, ("",)), Column("n", NUMBER, ("",)), Column("even", FLAG, ("",)), Column("at", MOMENT, ("",)))

    def __init__(self, dies_at: int | None = None, schema_ids: tuple[int, ...] = (1,)) -> None:
        self.dies_at, self.schema_ids, self.given = dies_at, schema_ids, 0

    def must_stay(self) -> dict[str, Any]:
        return {"schema_ids": list(self.schema_ids)}

    def fix_end(self, since: Token | None, until: Token | None) -> dict[str, Any]:
        return {"until": (END if until is None else until).encode(), "rows": len(ROWS)}

    def names(self, plan: Plan) -> list[str]:
        return [f"part-{first:03}" for first in range(0, len(ROWS), plan["rows_per_file"])]

    def pieces(self, plan: Plan, made: Mapping[str, Mapping[str, Any]]) -> Iterator[Piece]:
        most = plan["rows_per_file"]
        for first in range(0, len(ROWS), most):
            part = ROWS[first : first + most]
            if f"part-{first:03}" not in made:
                yield Piece(f"part-{first:03}", {"first": first, "rows": len(part)}, self._rows(part))

    def _rows(self, part: list[Row]) -> Iterator[Row]:
        for row in part:
            if row[1] == self.dies_at:
                raise Died
            self.given += 1
            yield row


def exported(folder: Path, form: str = "csv", source: InMemory | None = None, **asked: Any) -> Done:
    return export(source or InMemory(), Asked("rows", form, **{"rows_per_file": 10, **asked}), folder, Progress())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_is_read_by_other_tools_as_the_rows_that_were_written(tmp_path: Path, form: str) -> None:
    exported(tmp_path, form)

    rows = [dict(zip(("words", "n", "even", "at"), row, strict=True)) for row in ROWS]
    wanted = [strangers.in_words(row, ["at"]) for row in rows] if form == "csv" else rows
    assert READ[form](tmp_path) == wanted


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("dies_at", [0, 7, 10, 24])
def test_export_that_died_at_any_row_goes_on_and_has_the_same_bytes_as_one_in_one_go(tmp_path: Path, form: str, dies_at: int) -> None:
    exported(tmp_path / "whole", form)

    with pytest.raises(Died):
        exported(tmp_path / "died", form, InMemory(dies_at))
    second = InMemory()
    done = exported(tmp_path / "died", form, second)

    assert contents(tmp_path / "died") == contents(tmp_path / "whole")
    assert done.resumed_at == len(ROWS) - second.given == dies_at // 10 * 10


def test_file_without_its_line_is_made_again(tmp_path: Path) -> None:
    exported(tmp_path)
    before = contents(tmp_path)
    manifest = json.loads(before[MANIFEST])
    lines = {"files": manifest["files"][:-1], "complete": False}
    (tmp_path / MANIFEST).write_text(json.dumps({**manifest, **lines}), "utf-8")
    (tmp_path / "part-020.csv").write_bytes(b"half a fi")

    exported(tmp_path)

    assert contents(tmp_path) == before


def test_manifest_tells_what_was_exported_and_of_each_file_its_part_its_size_and_its_digest(tmp_path: Path) -> None:
    exported(tmp_path)

    told = json.loads((tmp_path / MANIFEST).read_text("utf-8"))

    assert told["complete"] is True
    assert [told["plan"][name] for name in ("what", "format", "from", "until")] == ["rows", "csv", None, END.encode()]
    assert [column["name"] for column in told["plan"]["columns"]] == ["words", "n", "even", "at"]
    assert [(line["name"], line["first"], line["rows"]) for line in told["files"]] == [
        ("part-000.csv", 0, 10),
        ("part-010.csv", 10, 10),
        ("part-020.csv", 20, 5),
    ]
    assert all(len(line["sha256"]) == 64 and line["bytes"] == (tmp_path / line["name"]).stat().st_size for line in told["files"])


def test_token_that_includes_nothing_is_a_beginning_and_an_end_all_the_same(tmp_path: Path) -> None:
    nothing = Token({})

    done = exported(tmp_path, since=nothing, until=nothing)

    assert (done.plan["from"], done.plan["until"]) == (nothing.encode(), nothing.encode())


def test_finished_export_called_again_reads_nothing_and_changes_nothing(tmp_path: Path) -> None:
    exported(tmp_path)
    before, source = contents(tmp_path), InMemory()

    done = exported(tmp_path, source=source)

    assert (source.given, done.rows, done.resumed_at) == (0, len(ROWS), len(ROWS))
    assert contents(tmp_path) == before


def test_changed_file_is_named_and_left_alone_and_one_that_was_removed_is_made_again(tmp_path: Path) -> None:
    exported(tmp_path)
    before = contents(tmp_path)
    changed = tmp_path / "part-010.csv"
    changed.write_bytes(before["part-010.csv"].replace(b"11", b"99"))

    with pytest.raises(FileChanged, match=r"part-010\.csv"):
        exported(tmp_path)
    changed.unlink()
    exported(tmp_path)

    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("asked", "source", "named"),
    [
        ({"form": "avro"}, None, "format"),
        ({"rows_per_file": 7}, None, "rows_per_file"),
        ({"since": END}, None, "from"),
        ({"until": Token({})}, None, "until"),
        ({}, InMemory(schema_ids=(1, 2)), "schema_ids"),
    ],
    ids=lambda case: str(case)[:30],
)
def test_folder_of_another_export_is_refused_and_what_differs_is_named(
    tmp_path: Path, asked: dict[str, Any], source: InMemory | None, named: str
) -> None:
    exported(tmp_path)
    before = contents(tmp_path)

    with pytest.raises(OtherExport, match=f"another {named}:"):
        exported(tmp_path, source=source, **asked)

    assert contents(tmp_path) == before


@pytest.mark.parametrize("foreign", ["part-000.csv", "notes.txt", ".hidden", "_part-000.csv", "sub.part", MANIFEST + ".old"])
def test_folder_without_a_manifest_that_is_not_empty_is_refused_and_left_alone(tmp_path: Path, foreign: str) -> None:
    (tmp_path / foreign).write_bytes(b"theirs")

    for go in (exported, lambda folder: predict(InMemory(), Asked("rows", "csv"), folder)):
        with pytest.raises(NotOurs, match=f"is not empty, it holds '{foreign}': take an empty folder"):
            go(tmp_path)

    assert contents(tmp_path) == {foreign: b"theirs"}


def test_export_whose_manifest_was_removed_is_not_exported_over(tmp_path: Path) -> None:
    exported(tmp_path, rows_per_file=2)
    (tmp_path / MANIFEST).unlink()
    before = contents(tmp_path)

    with pytest.raises(NotOurs, match=r"'part-000\.csv', .*, 'part-008\.csv' and 8 more"):
        exported(tmp_path, rows_per_file=5)

    assert contents(tmp_path) == before


def test_what_a_killed_run_left_half_written_is_no_hindrance(tmp_path: Path) -> None:
    for name in (MANIFEST, "part-000.csv"):
        (tmp_path / f"_{name}.part").write_bytes(b"half a fi")

    exported(tmp_path)

    assert sorted(contents(tmp_path)) == [MANIFEST, "part-000.csv", "part-010.csv", "part-020.csv"]


@pytest.mark.parametrize("foreign", ["part-005.csv", "theirs.csv", "_part-000.csv", "part-030.csv"])
def test_file_of_the_same_form_that_is_none_of_the_export_is_named_and_left_alone(tmp_path: Path, foreign: str) -> None:
    exported(tmp_path)
    (tmp_path / foreign).write_bytes(b"theirs")
    (tmp_path / "notes.txt").write_bytes(b"no reader of csv opens it")
    before = contents(tmp_path)

    for go in (exported, lambda folder: predict(InMemory(), Asked("rows", "csv", rows_per_file=10), folder)):
        with pytest.raises(NotOurs, match=f"holds what is not of its export: '{foreign}';"):
            go(tmp_path)

    assert contents(tmp_path) == before


def test_folder_of_the_name_of_a_file_is_not_written_over(tmp_path: Path) -> None:
    done = exported(tmp_path)
    (tmp_path / "part-010.csv").unlink()
    (tmp_path / "part-010.csv").mkdir()

    with pytest.raises(FileChanged, match=r"part-010\.csv"):
        exported(tmp_path)
    lines = [line for line in done.files if line["name"] != "part-010.csv"]
    (tmp_path / MANIFEST).write_text(json.dumps({"plan": done.plan, "complete": False, "files": lines}), "utf-8")
    with pytest.raises(NotOurs, match=r"'part-010\.csv'"):
        exported(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"null", b"{}", b'{"plan":3}', b"\xff\xfe", b'{"plan":null,"files":[{}]}', b"[" * 100_000),
        *(b'{"plan":{"until":"h1.","rows":1}}', b'{"plan":{"until":"h1.","rows":1},"files":[{}]}', b'{"plan":{},"files":[]}'),
    ],
    ids=lambda content: str(content)[:30],
)
def test_manifest_that_is_none_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(content)

    with pytest.raises(NotOurs, match=f"{MANIFEST} is no manifest of an export"):
        exported(tmp_path)

    assert contents(tmp_path) == {MANIFEST: content}


def test_folder_or_a_link_to_nowhere_is_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "one" / MANIFEST).mkdir(parents=True)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / MANIFEST).symlink_to(tmp_path / "nowhere")

    for folder in ("one", "two"):
        with pytest.raises(NotOurs, match="is no manifest of an export"):
            exported(tmp_path / folder)

    assert not (tmp_path / "nowhere").exists()


def test_path_that_can_be_no_folder_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"theirs")

    for path in (tmp_path / "file" / "sub", tmp_path / ("n" * 300)):
        with pytest.raises(NoFolder, match=f"{path} can be no folder: "):
            exported(path)
        with pytest.raises(NoFolder, match=f"{path} can be no folder: "):
            predict(InMemory(), Asked("rows", "csv"), path)

    assert contents(tmp_path) == {"file": b"theirs"}


def test_two_exports_into_one_folder_at_once_are_refused(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(FolderInUse):
        exported(tmp_path)


def test_prediction_writes_nothing_and_tells_how_much_is_there_already(tmp_path: Path) -> None:
    asked = Asked("rows", "csv", rows_per_file=10)

    new = predict(InMemory(), asked, tmp_path / "new")
    with pytest.raises(Died):
        exported(tmp_path / "died", source=InMemory(24))
    before = contents(tmp_path / "died")
    half = predict(InMemory(), asked, tmp_path / "died")

    assert (new.plan["rows"], new.resumed_at, (tmp_path / "new").exists()) == (25, 0, False)
    assert (half.plan["rows"], half.resumed_at, contents(tmp_path / "died")) == (25, 20, before)


def test_empty_text_and_no_value_differ_in_csv_as_they_do_elsewhere(tmp_path: Path) -> None:
    class Two(InMemory):
        def _rows(self, part: list[Row]) -> Iterator[Row]:
            return iter([("", 1, True, None), (None, 2, False, None)] if part[0][1] == 0 else [])

    exported(tmp_path, source=Two())

    assert (tmp_path / "part-000.csv").read_text("utf-8") == 'words,n,even,at\n"",1,true,\n,2,false,\n'
