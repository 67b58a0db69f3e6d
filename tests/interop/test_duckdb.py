"""DuckDB reads an export in Parquet with the worked query."""

import json
import subprocess
from pathlib import Path

import pytest

from deploy.hotline import exit_code
from events.envelope import TICKETS
from events.settings import Settings
from tests.interop.conftest import CLIENTS
from tests.interop.laid import Laid, that_count

_LIMIT_S = 60
_READ = """
import duckdb, json, sys
duckdb.connect("read").execute(open(sys.argv[1]).read()).fetchall()
db = duckdb.connect("read")
states = db.sql("SELECT number, version, last_decision FROM tickets_now").fetchall()
print(json.dumps([db.sql("SELECT number, version, event_id FROM tickets_valid").fetchall(), states]))
"""


def test_duckdb_finds_the_valid_decisions_in_an_export(
    shop: Settings, records: dict[str, list[Laid]], stock_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOTLINE_KAFKA", shop.kafka_address)
    assert exit_code(["export", "tickets", "--format", "parquet", "--to", str(tmp_path / "tickets")]) == 0
    words = (str(stock_python), "-I", "-c", _READ, str(CLIENTS / "duckdb" / "tickets.sql"))

    said = subprocess.run(words, check=True, capture_output=True, text=True, timeout=_LIMIT_S, cwd=tmp_path).stdout

    decisions, states = json.loads(said)
    expected = that_count(records[TICKETS])
    types = {one.fields["event_id"].hex(): one.type for one in records[TICKETS]}
    newest = {number: max(v for n, v in expected if n == number) for number, _ in expected}
    assert {(number, version): event for number, version, event in decisions} == expected
    assert sorted(states) == sorted([number, version, types[expected[number, version]]] for number, version in newest.items())
