"""The standing check "every cause has an outcome": which facts and commands have waited too long for one?

Asks the read models `audit_log` and `outcomes` of a live system, none of the desk's tables. One that is parked has an outcome.
"""

from typing import Any

from psycopg import Connection

from events.envelope import COMMANDS, FACTS
from events.places import Place

MOST_FOUND = 1_000


def find_unsettled(db: Connection[Any], older_than_s: float, now_us: int, most: int = MOST_FOUND) -> list[Place]:
    """Return causes that the log took more than `older_than_s` before `now_us` and that have no outcome; at most `most`, the oldest first.

    Each partition is looked through from the end of its settled run on, a bounded number of records.
    """
    rows = db.execute(
        """
        SELECT c.topic, c.partition, c."offset"
        FROM (SELECT DISTINCT topic, partition FROM position WHERE topic = ANY(%(causes)s)) AS p
        LEFT JOIN outcome_reach AS r ON (r.cause_topic, r.cause_partition) = (p.topic, p.partition)
        CROSS JOIN LATERAL (
            SELECT a.topic, a.partition, a."offset", a.appended_at FROM audit_log AS a
            WHERE a.topic = p.topic AND a.partition = p.partition AND a."offset" > coalesce(r.settled_offset, -1)
                AND a.appended_at < %(before)s AND NOT EXISTS (
                    SELECT FROM outcomes AS o
                    WHERE (o.cause_topic, o.cause_partition, o.cause_offset) = (a.topic, a.partition, a."offset"))
            ORDER BY a."offset" LIMIT %(most)s
        ) AS c
        ORDER BY c.appended_at, c.topic, c.partition, c."offset" LIMIT %(most)s
        """,
        {"causes": [FACTS, COMMANDS], "before": now_us - int(older_than_s * 1_000_000), "most": most},
    )
    return [Place(*row) for row in rows]
