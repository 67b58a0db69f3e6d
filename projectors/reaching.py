"""Has a read model reached a token?

A part of a topic that the model follows is compared with the model's own position. A part of a topic of causes means what the causes led
to: it becomes the decisions that `outcomes` names once it has settled them, and those are compared with the model's position on the
tickets. A part that nobody can compare never counts as reached. Pure, but for the one read.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from psycopg import AsyncConnection

from events.envelope import COMMANDS, FACTS, OUTCOMES, TICKETS
from events.places import Partition
from projectors.model import ReadModel
from projectors.outcomes import NOTHING_SETTLED, OUTCOMES_MODEL, Reach
from projectors.tokens import Token

CAUSES = (FACTS, COMMANDS)
_SERVING = """
SELECT b.model, p.topic, p.partition, p.next_offset FROM position AS p JOIN read_model_build AS b ON b.consumer = p.consumer AND b.serving
"""


class Progress(NamedTuple):
    """How far the serving builds of all read models have come."""

    positions: Mapping[str, Mapping[Partition, int]]  # by model: the next offset of each partition
    reaches: Mapping[Partition, Reach]  # by partition of causes

    def next_offset(self, model: str, partition: Partition) -> int:
        """Return the next offset that the serving build of `model` will read; 0 when it has never been there."""
        return self.positions.get(model, {}).get(partition, 0)


class Demand(NamedTuple):
    """One thing to wait for: that a record was applied, or that all causes up to it are settled and what they led to was applied."""

    topic: str
    partition: int
    offset: int
    with_effects: bool


Demands = frozenset[Demand]


def demands_of(model: ReadModel, token: Token) -> Demands:
    """Return what must come about before `model` has reached `token`."""
    demands = set()
    for (topic, partition), offset in token.items():
        follows = topic in model.topics
        led_on = topic in (*CAUSES, OUTCOMES) and TICKETS in model.topics
        if follows or not led_on:  # what nobody can compare stays a demand that nothing fulfils
            demands.add(Demand(topic, partition, offset, with_effects=False))
        if led_on:
            demands.add(Demand(topic, partition, offset, with_effects=True))
    return frozenset(demands)


def still_open(model: ReadModel, demands: Demands, progress: Progress) -> Demands:
    """Return what of `demands` remains; causes that are settled by now become the decisions they led to, once and for all."""
    remaining: set[Demand] = set()
    for demand in demands:
        if demand.with_effects:
            effects = _effects(demand, progress)
            remaining |= {demand} if effects is None else {e for e in effects if not _applied(model, e, progress)}
        elif not _applied(model, demand, progress):
            remaining.add(demand)
    return frozenset(remaining)


def _applied(model: ReadModel, demand: Demand, progress: Progress) -> bool:
    follows = demand.topic in model.topics
    return follows and progress.next_offset(model.name, (demand.topic, demand.partition)) > demand.offset


def _effects(demand: Demand, progress: Progress) -> set[Demand] | None:
    """Return the decisions that `demand` led to, or None while its causes are not settled."""
    if demand.topic == OUTCOMES:  # an outcome lies in the partition with the number of its cause's
        settled = progress.next_offset(OUTCOMES_MODEL.name, (OUTCOMES, demand.partition)) > demand.offset
        reaches = [progress.reaches.get((topic, demand.partition), NOTHING_SETTLED) for topic in CAUSES]
    else:
        reaches = [progress.reaches.get((demand.topic, demand.partition), NOTHING_SETTLED)]
        settled = reaches[0].settled_offset >= demand.offset
    if not settled:
        return None
    return {
        Demand(TICKETS, partition, offset, with_effects=False)
        for reach in reaches
        for partition, offset in enumerate(reach.decided)
        if offset >= 0
    }


async def read_progress(db: AsyncConnection[Any]) -> Progress:
    """Read how far all read models have come; rows that are read afterwards hold at least that much."""
    positions: dict[str, dict[Partition, int]] = {}
    for model, topic, partition, next_offset in await (await db.execute(_SERVING)).fetchall():
        positions.setdefault(model, {})[topic, partition] = next_offset
    rows = await db.execute("SELECT cause_topic, cause_partition, settled_offset, greatest_offset, decided FROM outcome_reach")
    reaches = {(row[0], row[1]): Reach(row[2], row[3], tuple(row[4])) for row in await rows.fetchall()}
    return Progress(positions, reaches)


async def read_included(db: AsyncConnection[Any], models: Sequence[ReadModel]) -> Token:
    """Read what all of `models` have included by now; rows of them that are read afterwards hold at least that much."""
    positions: dict[str, dict[Partition, int]] = {model.name: {} for model in models}
    rows = await db.execute(_SERVING + "WHERE b.model = ANY(%s)", [list(positions)])
    for model, topic, partition, next_offset in await rows.fetchall():
        positions[model][topic, partition] = next_offset
    return included_by_all(models, positions)


def included_by_all(models: Sequence[ReadModel], positions: Mapping[str, Mapping[Partition, int]]) -> Token:
    """Return, from the next offset of each model in each partition, what each of `models` that follows the topic has included."""
    least: dict[Partition, int] = {}
    for partition in {partition for held in positions.values() for partition in held}:
        followers = [model.name for model in models if partition[0] in model.topics]
        least[partition] = min((positions.get(name, {}).get(partition, 0) for name in followers), default=0)
    return Token({partition: next_offset - 1 for partition, next_offset in least.items() if next_offset > 0})
