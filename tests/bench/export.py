"""How fast a topic becomes files, as `hotline export` does it in one process, beside decoding its records with fastavro alone."""

import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from consumers.export.exporting import Asked, Progress, export
from consumers.export.topic import TopicSource
from events.envelope import TICKETS
from events.settings import Settings
from events.wire.codec import load_codec
from tests import stranger
from tests.bench.figures import Figure
from tests.bench.lives import Lives
from tests.bench.project import preload
from tests.bench.stack import own_stack

EVENTS = 60_000
ROUNDS = 3
_MILLION, _GOAL_S = 1_000_000, 60.0
_GOALS = {"parquet": 0.3, "csv": None, "avro": None}  # of the floor


def run() -> list[Figure]:
    """Measure the floor and each format by turns; the middle one of each counts."""
    decisions, codec = Lives().decisions(EVENTS), load_codec()
    values = [codec.encode(decision, "/bench").value for decision in decisions]
    with own_stack() as settings:
        preload(settings, decisions)
        rounds = [(_decode_all(values), {form: _export_all(settings, form) for form in _GOALS}) for _ in range(ROUNDS)]
    floor = EVENTS / median(alone_s for alone_s, _ in rounds)
    rates = {form: EVENTS / median(took_s[form] for _, took_s in rounds) for form in _GOALS}
    return [*(_figure(form, rates[form], floor) for form in _GOALS), _million(rates["parquet"])]


def _figure(form: str, per_s: float, floor: float) -> Figure:
    details = {"events": EVENTS, "rounds": ROUNDS, "floor": "fastavro's schemaless_reader over the values in memory"}
    return Figure(
        bench="export", what=f"{TICKETS} as {form}", value=per_s, unit="events/s", floor=floor, at_least=_GOALS[form], details=details
    )


def _million(per_s: float) -> Figure:
    return Figure(bench="export", what="1,000,000 events to Parquet at that rate", value=_MILLION / per_s, unit="s", at_most=_GOAL_S)


def _decode_all(values: list[bytes]) -> float:
    began = perf_counter()
    for value in values:
        stranger.decode(value)
    return perf_counter() - began


def _export_all(settings: Settings, form: str) -> float:
    """Export everything into a folder of its own; return the seconds, from the first question to Kafka to the last line of the manifest."""
    with tempfile.TemporaryDirectory(prefix="hotline-bench-export-") as folder:
        began = perf_counter()
        source = TopicSource(settings.kafka_access, TICKETS)
        try:
            done = export(source, Asked(TICKETS, form), Path(folder), Progress())
        finally:
            source.close()
        assert done.rows == EVENTS, f"{done.rows} rows"
        return perf_counter() - began
