"""Python programs of strangers: confluent-kafka's own deserializer, and the plain consumer that keeps its place."""

import json
import random
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from events.envelope import TICKETS
from events.settings import Settings
from events.wire.schemas import topics
from tests.interop.conftest import CLIENTS
from tests.interop.laid import Laid, that_count
from tests.waiting import until

_LIMIT_S = 60


@pytest.mark.parametrize("topic", topics())
def test_the_stock_deserializer_decodes_every_topic_with_the_registry_s_address_alone(
    shop: Settings, records: dict[str, list[Laid]], stock_python: Path, topic: str
) -> None:
    words = (str(stock_python), "-I", str(CLIENTS / "tail_with_registry.py"), shop.kafka_address, shop.registry_address, topic)
    said = subprocess.run(words, check=True, capture_output=True, text=True, timeout=_LIMIT_S).stdout.splitlines()

    expected = [
        {
            "partition": one.partition,
            "offset": one.offset,
            "type": one.type,
            "fields": json.loads(json.dumps(one.fields, default=bytes.hex)),
        }
        for one in records[topic]
    ]
    assert sorted(map(json.loads, said), key=lambda line: (line["partition"], line["offset"])) == expected
    assert expected != []


def test_the_plain_consumer_killed_at_random_has_each_valid_decision_once(
    shop: Settings, records: dict[str, list[Laid]], stock_python: Path, tmp_path: Path
) -> None:
    file = tmp_path / "tickets.sqlite"
    words = (str(stock_python), "-I", str(CLIENTS / "tickets_to_sqlite.py"), shop.kafka_address, shop.registry_address, str(file))
    chance = random.Random(424242)
    ends = {one.partition: one.offset + 1 for one in records[TICKETS]}

    running = subprocess.Popen(words)
    until(lambda: _places(file) or running.poll() is not None, _LIMIT_S)  # the first one has begun for sure
    running.kill()
    running.wait(_LIMIT_S)
    for _ in range(4):
        running = subprocess.Popen(words, stderr=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(chance.uniform(0.2, 1.5))
        running.send_signal(signal.SIGKILL)
        running.communicate(timeout=_LIMIT_S)
    last = subprocess.Popen(words)
    try:
        until(lambda: _places(file) == ends, _LIMIT_S)
    finally:
        last.kill()
        last.wait(_LIMIT_S)

    with closing(sqlite3.connect(file)) as db:
        kept = {(number, version): event for number, version, event in db.execute("SELECT number, version, event_id FROM decisions")}
    assert kept == that_count(records[TICKETS])


def _places(file: Path) -> dict[int, int]:
    if not file.exists():
        return {}
    with closing(sqlite3.connect(file, timeout=10)) as db:
        try:
            return dict(db.execute("SELECT part, next_offset FROM place WHERE next_offset > 0"))
        except sqlite3.OperationalError:  # no table yet
            return {}
