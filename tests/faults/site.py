"""One running stack that is harmed again and again: its settings, lines that lead past a proxy, its history, and the judgement over it."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from pydantic import SecretStr

from deploy.lag import read_lags
from deploy.parts.ports import LOOPBACK, pick_free
from events.settings import Settings
from events.vault.opening import open_vault
from tests.consumed import told
from tests.faults.crashes import Single, beside, said
from tests.faults.history import Held, History, Recovery
from tests.faults.invariants import Evidence, Finding, check, tallies
from tests.faults.load import Load
from tests.faults.proxy import Proxy
from tests.journeys.stacks import SETTLE_LIMIT_S, entries, is_ready, wait_settled, whole_stack
from tests.oracle import Told
from tests.waiting import until

_READY_LIMIT_S = 30.0


@dataclass
class Site:
    """A stack with every process apart, and a proxy before its Kafka and another before its Postgres, for those who go that way."""

    settings: Settings
    history: History
    kafka_line: Proxy
    database_line: Proxy
    patient: bool = False  # where others use the machine too, what is timed may take longer in proportion
    tallies: Counter[str] = field(default_factory=Counter)  # as the log showed at the last judgement
    _judged: int = 0  # recoveries that a judgement has told of

    @property
    def kafka_by_line(self) -> dict[str, Any]:
        """Return the settings of a process that reaches Kafka only through the proxy."""
        assert self.settings.kafka_side_port is not None, "the stack has a side door"
        return {"kafka": f"{LOOPBACK}:{self.kafka_line.port}"}

    @property
    def database_by_line(self) -> dict[str, Any]:
        """Return the settings of a process that reaches Postgres only through the proxy."""
        direct = self.settings.database
        return {"database_url": SecretStr(direct.replace(f":{self.settings.postgres_port}/", f":{self.database_line.port}/"))}

    @contextmanager
    def beside(
        self, *words: str, crash_point: str | None = None, by_kafka_line: bool = False, by_database_line: bool = False
    ) -> Iterator[Single]:
        """One more process of ours, armed or on bad lines, that the supervisor does not know; ended with the block."""
        lines = {**(self.kafka_by_line if by_kafka_line else {}), **(self.database_by_line if by_database_line else {})}
        with beside(self.settings, *words, crash_point=crash_point, **lines) as single:
            yield single

    @contextmanager
    def second_intake(self, crash_point: str | None = None, *, by_kafka_line: bool = False) -> Iterator[tuple[int, Single]]:
        """Another intake and its port, ready for callers."""
        port = pick_free(1)
        lines = self.kafka_by_line if by_kafka_line else {}
        with beside(self.settings, "intake", crash_point=crash_point, intake_port=port, **lines) as single:
            until(lambda: is_ready(port), _READY_LIMIT_S)
            yield port, single

    @contextmanager
    def load(self, per_s: float, *ports: int) -> Iterator[Load]:
        """Have callers inside the block; whoever insists has his answer before it ends."""
        with Load(self.settings, self.history, per_s, ports) as load:
            yield load
            load.rest(True)
            until(load.insisting_is_over, SETTLE_LIMIT_S)

    def judged(self) -> list[str]:
        """Return all findings once everything has settled: empty, if the promises hold. What was late is told once."""
        wait_settled(self.settings)
        found = [str(finding) for finding in self.findings() if finding.invariant != "I9 late"]
        since, self._judged = self._judged, len(self.history.recoveries)
        return found + [f"late after {r.kind}: {r.took_s} s" for r in self.history.recoveries[since:] if r.took_s > r.bound_s]

    def findings(self, records: Sequence[Told] | None = None) -> list[Finding]:
        """Return what is wrong now, judged by what the log holds."""
        records = self.records() if records is None else records
        self.tallies = tallies(records)
        return check(Evidence(records, self.settings.database, self.history, open_vault(self.settings).identity()))

    def records(self) -> list[Told]:
        """Return everything on the log, what nobody can read too."""
        return told(self.settings.kafka_address, unreadable_too=True)

    def epochs(self, consumer: str) -> dict[tuple[str, int], int]:
        """Return for each partition of a consumer how often it has changed hands."""
        query = "SELECT topic, partition, owner_epoch FROM position WHERE consumer = %s"
        with psycopg.connect(self.settings.database) as db:
            return {(topic, partition): epoch for topic, partition, epoch in db.execute(query, [consumer])}

    def recovered(self, after: str, took_s: float, bound_s: float) -> None:
        """Note how long a recovery took; the judgement holds it against its bound."""
        stretch = max(1.0, os.getloadavg()[0] / (2 * (os.cpu_count() or 1))) if self.patient else 1.0
        self.history.note(Recovery(self.history.now_s(), after, round(took_s, 2), round(bound_s * stretch, 1)))

    def comings_back(self) -> Counter[str]:
        """Return how often any process came back so far, by what it met."""
        return Counter(line["because"] for line in self._lines("coming back"))

    def halts(self) -> list[str]:
        """Return what made processes stop for a person: nothing, where only what can be survived was done."""
        return [f"{line.get('process', 'a projector')}: {line['because']}: {line.get('detail', '')}" for line in self._lines("stopping")]

    def fenced(self) -> int:
        """Return how many zombies rolled back so far."""
        return sum(line["because"] == "Fenced" for line in self._lines("leaving the group"))

    def _lines(self, event: str) -> list[dict[str, Any]]:
        return [line for log in (self.settings.folder / "logs").glob("*.log*") for line in said(log, event)]

    def held(self, when: str) -> Held:
        """Return what our processes hold now, and note it; the two servers have bounds of their own."""
        own = {name: entry.life for name, entry in entries(self.settings).items() if entry.kind == "process"}
        resident = {name: resident_bytes(life.pid) for name, life in own.items() if life}
        behind = {f"{lag.consumer} on {lag.topic}": lag.records for lag in read_lags(self.settings)}
        sample = Held(self.history.now_s(), when, resident, behind)
        self.history.note(sample)
        return sample


def resident_bytes(pid: int) -> int:
    """Return what a process holds in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096


@contextmanager
def running_site(seed: int, path: Path | None = None, *, patient: bool = False) -> Iterator[Site]:
    """A site of the caller's own; everything ends with the block."""
    with whole_stack(side_door=True) as settings:
        assert settings.kafka_side_port is not None, "asked for"
        kafka_line = Proxy(settings.kafka_side_port + 1, settings.kafka_side_port, seed)
        with kafka_line, Proxy(pick_free(1), settings.postgres_port, seed) as database_line:
            yield Site(settings, History(seed, path), kafka_line, database_line, patient)
