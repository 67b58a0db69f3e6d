"""Hazards that show in our own tables: positions that do not fit the log, work that waits, keys that moved."""

from collections.abc import Callable, Iterator, Sequence
from threading import Event as Flag
from time import monotonic

from consumers.desk.recalled import CONSUMER as DESK
from consumers.desk.unsettled import find_unsettled
from deploy.doctor.context import Context
from deploy.doctor.finding import Finding, hard, warning
from deploy.processes import Unit
from events.envelope import OUTCOMES
from projectors.builds import list_builds
from projectors.registry import PROJECTIONS

OUTBOX_LIMIT_S, _LOOK_EVERY_S = 5.0, 0.25
_NEWEST_ROWS = 20_000
CAUSE_LIMIT_S, MOST_CAUSES = 60.0, 1_000
#: From a log that lost records nothing is built again: they come back, or everything begins anew.
_RESTORE = "restore the log from a copy; to begin anew on purpose, begin with new databases too"


def positions(context: Context) -> Iterator[Finding]:
    """Positions on a topic that was made anew, below where the log begins, or beyond where it ends; everybody's."""
    if context.has_table("position"):
        row = context.database.execute("SELECT array_agg(DISTINCT consumer) FROM position").fetchone()
        yield from _misplaced(context, (row and row[0]) or [])


def positions_of(units: Sequence[Unit]) -> Callable[[Context], Iterator[Finding]]:
    """Return the same check of those positions alone that these processes can't do without: what ails others is theirs to say."""

    def positions(context: Context) -> Iterator[Finding]:
        if followed := _followed(context, units):
            yield from _misplaced(context, followed)

    return positions


def _followed(context: Context, units: Sequence[Unit]) -> list[str]:
    """Names of the consumers that `units` are: the desk, and of read models the builds that serve, for a projector outlives the others."""
    names = {unit.process.name for unit in units}
    followed = [DESK] if "desk" in names else []
    models = {model.name: model.version for model in PROJECTIONS if "projectors" in names or model.name in {unit.model for unit in units}}
    if models and context.has_table("read_model_build"):
        there = list_builds(context.database, models)
        followed += [build.consumer for build in there if build.serving and build.version == models[build.model]]
    return followed


def _misplaced(context: Context, consumers: Sequence[str]) -> Iterator[Finding]:
    if not context.has_table("position"):
        return
    query = "SELECT consumer, topic, partition, topic_id, next_offset FROM position WHERE consumer = ANY(%s) ORDER BY 1, 2, 3"
    rows = context.database.execute(query, [list(consumers)]).fetchall()
    spans = context.kafka.spans(context.wanted)  # asked after the rows: positions move on meanwhile, and the log's end with them
    reborn: dict[tuple[str, str], None] = {}
    for consumer, topic, partition, topic_id, next_offset in rows:
        there, span = context.found.get(topic), spans.get((topic, partition))
        if there is None or span is None:
            continue  # that it is missing is said elsewhere
        where = f"{consumer} goes on at {topic}/{partition} offset {next_offset}"
        if there.topic_id != topic_id:
            reborn[topic, topic_id] = None
        elif next_offset < span[0]:
            what = f"{where}, the log begins at {span[0]}: {span[0] - next_offset} records are gone unread"
            yield hard("position-below-log", what, _RESTORE)
        elif next_offset > span[1]:
            yield hard("position-beyond-log", f"{where}, the log ends at {span[1]}: acknowledged records are gone", _RESTORE)
    for topic, topic_id in reborn:
        what = f"{topic} was deleted and made anew: positions belong to topic {topic_id}, the broker has {context.found[topic].topic_id}"
        yield hard("topic-recreated", what, _RESTORE)


def parted_keys(context: Context) -> Iterator[Finding]:
    """Keys whose records lie on several partitions, among the newest rows of the audit log."""
    if not context.has_table("audit_log"):
        return
    rows = context.database.execute(
        """
        SELECT topic, count(*) FROM (
            SELECT topic, subject
            FROM (SELECT topic, partition, subject FROM audit_log ORDER BY appended_at DESC LIMIT %s) AS newest
            WHERE topic = ANY(%s) AND subject <> 'era'
            GROUP BY topic, subject HAVING min(partition) <> max(partition)
        ) AS parted GROUP BY topic ORDER BY topic
        """,
        [_NEWEST_ROWS, [name for name in context.wanted if name != OUTCOMES]],
    )
    for topic, count in rows:
        what = f"{count} keys of {topic} have records on several partitions"
        yield hard(
            "strays", what, "find their writers in the audit log; let them use partitioner murmur2_random, as events/wire/publisher.py does"
        )


def parked(context: Context) -> Iterator[Finding]:
    """Tickets and contacts that wait for repair."""
    if not context.has_table("parked"):
        return
    for consumer, keys, records in context.database.execute(
        "SELECT consumer, count(DISTINCT key), count(*) FROM parked GROUP BY consumer ORDER BY consumer"
    ):
        what = f"{consumer} has parked {keys} key{'s' if keys > 1 else ''} with {records} record{'s' if records > 1 else ''}"
        yield warning("parked", what, "see `hotline parked`, mend the cause, then `hotline redrive`")


def outbox(context: Context) -> Iterator[Finding]:
    """An outbox whose oldest row stays: decisions are made and nobody publishes them."""
    if not context.has_table("outbox"):
        return
    until, pause = monotonic() + OUTBOX_LIMIT_S, Flag()
    oldest, count = _oldest(context)
    still = oldest
    while oldest is not None and still == oldest and monotonic() < until:
        pause.wait(_LOOK_EVERY_S)
        still, count = _oldest(context)
    if oldest is not None and still == oldest:
        what = f"{count} settled causes wait in the outbox, and the oldest has not left for {OUTBOX_LIMIT_S} s"
        yield hard(
            "outbox-stands", what, "see that the relay runs and reaches Kafka (`hotline status`, its log); nothing is lost meanwhile"
        )


def causes(context: Context) -> Iterator[Finding]:
    """Facts and commands that have stood on the log for long and have no outcome: the standing check of the desk's promise."""
    if not (context.has_table("audit_log") and context.has_table("outcomes")):
        return
    if late := find_unsettled(context.database, CAUSE_LIMIT_S, int(context.now_s() * 1_000_000), MOST_CAUSES):
        first = late[0]
        place = f"{first.topic}/{first.partition}/{first.offset}"
        what = f"{len(late)} causes have had no outcome for {CAUSE_LIMIT_S:.0f} s, the oldest at {place}"
        remedy = "see that desk, relay and projectors run (`hotline status`, their logs); nothing is lost meanwhile"
        yield hard("causes-unsettled", what, remedy)


def _oldest(context: Context) -> tuple[int | None, int]:
    row = context.database.execute("SELECT min(seq), count(*) FROM outbox").fetchone()
    assert row is not None, "a sum has one row"
    return row[0], row[1]
