"""Did everything arrive? Counts in the read models what the intake said it took.

Plain SQL on the views, asked once more of everything the log is known to hold; shares no code with the projections.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg

from deploy.simulator.ledger import Ledger

WAIT_LIMIT_S = 60.0
_LOOK_S = 0.3
_SHOWN = 5  # examples per finding

Database = psycopg.Connection[Any]

_TOLD = """
CREATE TEMP TABLE IF NOT EXISTS told_event (event_id bytea, contact_id bytea, contact text, type text);
CREATE TEMP TABLE IF NOT EXISTS told_contact (contact_id bytea, contact text, tickets int);
CREATE TEMP TABLE IF NOT EXISTS told_decision (number text, version int, partition int, place bigint);
TRUNCATE told_event, told_contact, told_decision;
CREATE OR REPLACE TEMP VIEW our_ticket AS
    SELECT DISTINCT k.number FROM contact_ticket k JOIN told_contact t ON t.contact_id = k.contact_id AND k.ordinal > 0;
"""


@dataclass(frozen=True, slots=True)
class Question:
    """What must hold: a sentence for people, and a query that returns one row of text for each case in which it does not."""

    holds: str
    query: LiteralString


QUESTIONS: tuple[Question, ...] = (
    Question(
        "every accepted event is in the audit log",
        """SELECT t.contact || ' ' || t.type FROM told_event t WHERE NOT EXISTS (
            SELECT FROM audit_log a WHERE a.subject = encode(t.contact_id, 'hex') AND a.event_id = t.event_id)""",
    ),
    Question(
        "every accepted fact is in contacts",
        "SELECT t.contact || ' ' || t.type FROM told_event t WHERE NOT EXISTS (SELECT FROM contact_fact f WHERE f.event_id = t.event_id)",
    ),
    Question(
        "every record of a fact or a command has its outcome",
        """SELECT a.topic || '/' || a.partition || '/' || a."offset" FROM audit_log a
        WHERE a.topic IN ('hotline.contacts', 'hotline.commands') AND NOT EXISTS (SELECT FROM outcomes o
            WHERE (o.cause_topic, o.cause_partition, o.cause_offset) = (a.topic, a.partition, a."offset"))""",
    ),
    Question(
        "every decision that an outcome names is on hotline.tickets",
        """SELECT d.number || ' version ' || d.version FROM outcomes o,
            unnest(o.decided_numbers, o.decided_versions, o.decided_partitions, o.decided_offsets) AS d (number, version, partition, place)
        WHERE NOT EXISTS (SELECT FROM audit_log a WHERE (a.topic, a.partition, a."offset") = ('hotline.tickets', d.partition, d.place)
            AND a.subject = d.number AND a.version = d.version)""",
    ),
    Question(
        "every ticket that an outcome names is in ticket status, at that version or a later one",
        """SELECT d.number || ' version ' || d.version FROM outcomes o, unnest(o.decided_numbers, o.decided_versions) AS d (number, version)
        WHERE NOT EXISTS (SELECT FROM ticket_status s WHERE s.number = d.number AND s.version >= d.version)""",
    ),
    Question(
        "every decision that an outcome names is in ticket versions",
        """SELECT d.number || ' version ' || d.version FROM outcomes o,
            unnest(o.decided_numbers, o.decided_versions, o.decided_partitions, o.decided_offsets) AS d (number, version, partition, place)
        WHERE NOT EXISTS (SELECT FROM ticket_versions v WHERE (v.partition, v."offset") = (d.partition, d.place)
            AND v.number = d.number AND v.version = d.version)""",
    ),
    Question(
        "every ticket that an outcome names is in retention, at that version or a later one",
        """SELECT d.number || ' version ' || d.version FROM outcomes o, unnest(o.decided_numbers, o.decided_versions) AS d (number, version)
        WHERE NOT EXISTS (SELECT FROM retention_ticket r WHERE r.number = d.number AND r.version >= d.version)""",
    ),
    Question(
        "every accepted fact is in retention",
        """SELECT t.contact || ' ' || t.type FROM told_event t
        WHERE NOT EXISTS (SELECT FROM retention_contact r WHERE r.event_id = t.event_id)""",
    ),
    Question(
        "every contact has as many tickets as it should",
        """SELECT t.contact || ': ' || count(DISTINCT k.number) || ' instead of ' || t.tickets FROM told_contact t
        LEFT JOIN contact_ticket k ON k.contact_id = t.contact_id AND k.ordinal > 0
        GROUP BY t.contact, t.tickets HAVING count(DISTINCT k.number) <> t.tickets""",
    ),
    Question(
        "every decision an operator heard of is in the audit log",
        """SELECT d.number || ' version ' || d.version FROM told_decision d
        WHERE NOT EXISTS (SELECT FROM audit_log a WHERE (a.topic, a.partition, a."offset") = ('hotline.tickets', d.partition, d.place)
            AND a.subject = d.number AND a.version = d.version)""",
    ),
    Question(
        "no number belongs to two contacts",
        "SELECT number FROM contact_ticket WHERE ordinal > 0 GROUP BY number HAVING count(DISTINCT (contact_id, ordinal)) > 1",
    ),
    Question(
        "no number was allotted twice and no version has two decisions",
        """SELECT subject || ' version ' || version FROM audit_log WHERE topic = 'hotline.tickets' AND version IS NOT NULL AND NOT void
        GROUP BY subject, version HAVING count(DISTINCT event_id) > 1""",
    ),
    Question(
        "versions have no holes",
        """SELECT subject || ': ' || max(version) || ' versions, ' || count(DISTINCT version) || ' decisions' FROM audit_log
        WHERE topic = 'hotline.tickets' AND version IS NOT NULL AND NOT void
        GROUP BY subject HAVING min(version) <> 1 OR max(version) <> count(DISTINCT version)""",
    ),
    Question(
        "ticket status stands at each ticket's last version",
        """SELECT a.subject || ': ' || max(a.version) FROM audit_log a LEFT JOIN ticket_status s ON s.number = a.subject
        WHERE a.topic = 'hotline.tickets' AND a.version IS NOT NULL AND NOT a.void
        GROUP BY a.subject, s.version HAVING max(a.version) IS DISTINCT FROM s.version""",
    ),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What does not hold, how often, and a few cases."""

    holds: str
    count: int
    cases: tuple[str, ...]

    def __str__(self) -> str:
        """One line."""
        return f"not so: {self.holds}: {self.count} times, for example {'; '.join(self.cases)}"


def check(db: Database, ledger: Ledger, limit_s: float = WAIT_LIMIT_S, wait: Callable[[float], Any] = time.sleep) -> list[Finding]:
    """Ask all questions about what the ledger was told; again until everything holds or `limit_s` has passed. Return what does not hold."""
    tell(db, ledger)
    until_s = time.monotonic() + limit_s
    while True:
        findings = list(_findings(db))
        if not findings or time.monotonic() > until_s:
            return findings
        wait(_LOOK_S)


def tell(db: Database, ledger: Ledger) -> None:
    """Give the database, in temporary tables, what the player was told."""
    db.execute(_TOLD)
    planned = ledger.day.contacts
    events = {one.event_id: (one.event_id, one.contact_id, one.message.contact, one.type) for one in ledger.accepted}
    contacts = [(known.contact_id, name, planned[name].tickets) for name, known in ledger.contacts().items()]
    _copy(db, "COPY told_event FROM STDIN", events.values())
    _copy(db, "COPY told_contact FROM STDIN", contacts)
    _copy(db, "COPY told_decision FROM STDIN", {decision for one in ledger.answered for decision in one.decisions})
    db.execute("ANALYZE told_event, told_contact, told_decision")
    db.commit()


def _copy(db: Database, statement: LiteralString, rows: Any) -> None:
    with db.cursor().copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def _findings(db: Database) -> Iterator[Finding]:
    for question in QUESTIONS:
        cases = [str(row[0]) for row in db.execute(question.query)]
        if cases:
            yield Finding(question.holds, len(cases), tuple(cases[:_SHOWN]))
    db.rollback()


def counted(db: Database) -> Mapping[str, list[tuple[Any, ...]]]:
    """Return the numbers of this day's contacts that only the read models know, by what they count."""
    found = {name: db.execute(query).fetchall() for name, query in _COUNTS.items()}
    db.rollback()
    return found


_COUNTS: Mapping[str, LiteralString] = {
    "tickets by status": "SELECT status, count(*) FROM ticket_status JOIN our_ticket USING (number) GROUP BY 1 ORDER BY 2 DESC",
    "tickets by kind": "SELECT kind, count(*) FROM ticket_status JOIN our_ticket USING (number) GROUP BY 1 ORDER BY 2 DESC",
    "outcomes of facts": """SELECT o.result || CASE WHEN o.rule = '' THEN '' ELSE ' (' || o.rule || ')' END, count(*) FROM outcomes o
        JOIN told_contact t ON o.cause_key = encode(t.contact_id, 'hex') GROUP BY 1 ORDER BY 2 DESC""",
    "still registered": """SELECT number FROM ticket_status JOIN our_ticket USING (number) WHERE status = 'registered' AND channel = 'phone'
        ORDER BY number LIMIT 1""",
    "long story": "SELECT number FROM ticket_status JOIN our_ticket USING (number) ORDER BY version DESC, number LIMIT 1",
}
