"""How fast a read model is made anew beside the one that serves, as `hotline rebuild` does it.

Reading and indexes, against the rate at which the model's projector, one process, has read the same log. It runs on meanwhile and takes
the new build over.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from pydantic import SecretStr

from consumers.rebuild.rebuilding import WORKERS, Rebuilt, rebuild
from deploy.stack import hotline
from events.settings import Settings
from projectors import database
from projectors.audit_log import AUDIT_LOG
from projectors.model import ReadModel
from projectors.ticket_status import TICKET_STATUS
from tests.bench.figures import Figure
from tests.bench.lives import Lives
from tests.bench.project import own_database, preload, projected, rate_of
from tests.bench.stack import child, own_stack
from tests.waiting import until

DECISIONS = 210_000
ROUNDS = 3
_START_LIMIT_S, _RUN_LIMIT_S = 30.0, 120.0
_GOAL = 1.3


class _Round(NamedTuple):
    live_per_s: float
    rebuilt: Rebuilt

    @property
    def per_s(self) -> float:
        return self.rebuilt.records / (self.rebuilt.read_s + self.rebuilt.index_s)

    @property
    def ratio(self) -> float:
        return self.per_s / self.live_per_s


def run() -> list[Figure]:
    """Measure both by turns for each of two read models, each round in a database of its own; the round with the middle ratio counts."""
    with own_stack() as settings:
        preload(settings, Lives().decisions(DECISIONS))
        return [_figure(model, [_round(settings, model) for _ in range(ROUNDS)]) for model in (TICKET_STATUS, AUDIT_LOG)]


def _figure(model: ReadModel, rounds: Sequence[_Round]) -> Figure:
    middle = sorted(rounds, key=lambda one: one.ratio)[len(rounds) // 2]
    return Figure(
        bench="rebuild",
        what=f"{model.name}, {WORKERS} workers, against its projector",
        value=middle.per_s,
        unit="events/s",
        floor=middle.live_per_s,
        at_least=_GOAL,
        details={
            "events": middle.rebuilt.records,
            "ratio of each round": " ".join(f"{one.ratio:.2f}" for one in rounds),
            "reading s": round(middle.rebuilt.read_s, 2),
            "indexes s": round(middle.rebuilt.index_s, 2),
            "most memory of a worker MB": middle.rebuilt.most_memory_mb,
        },
    )


def _round(settings: Settings, model: ReadModel) -> _Round:
    with own_database(settings) as address:
        its_own = settings.model_copy(update={"database_url": SecretStr(address)})
        with (
            child(hotline(its_own, "run", "projector", model.name), settings.folder / "logs" / "projector.log"),
            database.connect(address, "bench") as db,
        ):
            database.prepare(db, [model])
            reached = partial(projected, db, model)
            first = until(reached, _START_LIMIT_S)
            live_per_s = rate_of(reached, first, DECISIONS, _RUN_LIMIT_S)
            return _Round(live_per_s, rebuild(its_own, model))
