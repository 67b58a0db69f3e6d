"""A second, naive answer to "what must the read models hold?": folds over plain dictionaries.

Shares no code with the projectors, on purpose: an oracle that used their rules would share their mistakes. Slow and simple. Records come
decoded by a stranger (fastavro and the files of `schemas/` alone).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import psycopg
from psycopg import sql

ZONE = ZoneInfo("Europe/Moscow")
YEARS = 3
FACT_FOLDERS = ("calls", "notes", "chats", "letters", "cabinet", "complaints")


class Told(NamedTuple):
    """One record of the log, decoded; `name` None and no fields when nobody can read it."""

    topic: str
    partition: int
    offset: int
    key: bytes
    appended_at: int
    value: bytes
    name: str | None  # full name of the schema's record
    fields: dict[str, Any]

    @property
    def folder(self) -> str:
        """Family of the event."""
        return self.name.split(".")[1] if self.name else ""

    @property
    def short(self) -> str:
        """Name of the event without its family."""
        return self.name.split(".")[2] if self.name else ""


Rows = dict[tuple[Any, ...], dict[str, Any]]

#: Each view with the columns that make its key.
KEYS = {
    "ticket_status": ("number",),
    "ticket_versions": ("number", "version"),
    "audit_log": ("topic", "partition", "offset"),
    "retention_contact": ("event_id",),
    "retention_ticket": ("number",),
    "retention_file": ("digest", "event_id"),
    "contact_fact": ("event_id",),
    "contact_ticket": ("event_id",),
    "contacts": ("contact_id",),
    "outcomes": ("cause_topic", "cause_partition", "cause_offset"),
    "outcome_reach": ("cause_topic", "cause_partition"),
}


def expected(records: Iterable[Told]) -> dict[str, Rows]:
    """Return for each view its rows by key."""
    records = sorted(records, key=lambda r: (r.topic, r.partition, r.offset))
    all_records, void = records, void_ones(records)
    records = [r for r in records if (r.topic, r.partition, r.offset) not in void]
    facts = list(first_of_each(r for r in records if r.folder in FACT_FOLDERS).values())
    lives = lives_of(records)
    rows = {
        "ticket_status": [status_of(life) for life in lives.values()],
        "ticket_versions": [row for life in lives.values() for row in versions_of(life)],
        "audit_log": [
            audit_of(r, (r.topic, r.partition, r.offset) in void)
            for r in all_records
            if r.topic not in ("hotline.dead-letters", "hotline.reference")
        ],
        "retention_contact": [kept_contact(r.fields) for r in facts],
        "retention_ticket": [kept_ticket(life) for life in lives.values()],
        "retention_file": kept_files(r for r in records if r.folder in FACT_FOLDERS),
        "contact_fact": [contact_fact(r) for r in facts],
        "contacts": contacts_of(facts),
        "contact_ticket": [tie for life in lives.values() for tie in ties_of(life)],
        "outcomes": [outcome_of(group) for group in by_cause(records).values()],
        "outcome_reach": reaches(records),
    }
    return {view: {tuple(row[column] for column in KEYS[view]): row for row in found} for view, found in rows.items()}


def void_ones(records: Iterable[Told]) -> set[tuple[str, int, int]]:
    """Return the places of decisions and outcomes of an era that had ended in their partition: behind a mark of a higher one."""
    eras: dict[tuple[str, int], int] = defaultdict(lambda: 1)
    found = set()
    for r in records:  # in the order of each partition
        here = (r.topic, r.partition)
        if r.short == "EraOpened":
            eras[here] = max(eras[here], r.fields["era"])
        elif (r.folder == "tickets" or r.short == "CauseSettled") and r.fields["era"] < eras[here]:
            found.add((r.topic, r.partition, r.offset))
    return found


def first_of_each(records: Iterable[Told]) -> dict[bytes, Told]:
    """Return the first record of each event id."""
    found: dict[bytes, Told] = {}
    for record in records:
        if record.fields["event_id"] not in found:
            found[record.fields["event_id"]] = record
    return found


def lives_of(records: Iterable[Told]) -> dict[str, list[Told]]:
    """Return the decisions of each ticket by version; fail when a version is missing or claimed twice."""
    lives: dict[str, list[Told]] = defaultdict(list)
    for record in first_of_each(r for r in records if r.folder == "tickets").values():
        lives[record.fields["number"]].append(record)
    for number, life in lives.items():
        life.sort(key=lambda r: int(r.fields["version"]))
        versions = [r.fields["version"] for r in life]
        assert versions == list(range(1, len(life) + 1)), f"{number}: versions {versions}"
    return dict(lives)


_NEXT = {
    "registered": "specialist_takes",
    "in_processing": "specialist_decides",
    "awaiting_clarification": "citizen_answers",
    "approved": "citizen_follows_steps",
    "refused": "citizen_may_appeal",
    "closed": "nothing",
}


def status_of(life: Sequence[Told]) -> dict[str, Any]:
    """Return the row of `ticket_status`."""
    row: dict[str, Any] = {}
    for record in life:
        e = record.fields
        _change(row, record.short, e)
        row |= {"version": e["version"], "last_event_id": e["event_id"], "changed_at": e["recorded_at"], "cycle": e["cycle"]}
    return row | {"next_step": _NEXT[row["status"]]}


def versions_of(life: Sequence[Told]) -> list[dict[str, Any]]:
    """Return the rows of `ticket_versions` of one ticket: its life told once more up to each decision, in time and place of its own."""
    return [
        status_of(life[: r.fields["version"]])
        | {
            "recorded_at": max(one.fields["recorded_at"] for one in life[: r.fields["version"]]),
            "partition": r.partition,
            "offset": r.offset,
        }
        for r in life
    ]


_COPIED = ("number", "channel", "kind", "topic", "language", "opened_at", "opened_offset_min", "contact_id", "ordinal")
_HAS = ("has_name", "has_phone", "has_text")
_UNKNOWN = ("legal_class", "queue", "refusal_reason", "appeal_route", "resolution_code", "merged_into", "status_before")


def _change(row: dict[str, Any], name: str, e: dict[str, Any]) -> None:
    awaiting = row.get("status") == "awaiting_clarification"
    if name == "TicketRegistered":
        row.update({k: e[k] for k in (*_COPIED, *_HAS)} | dict.fromkeys(_UNKNOWN) | {"status": "registered"})
    elif name == "TicketDetailsAdded":
        row.update({k: e[k] for k in ("kind", "topic", "language") if e[k] != ""} | {k: True for k in _HAS if e[k]})
    elif name == "TicketTaken":
        row.update(status="in_processing", status_before=None, queue=e["queue"] or row["queue"])
    elif name == "ClarificationAsked":
        row.update(status="awaiting_clarification", status_before=row["status_before"] if awaiting else row["status"])
    elif name == "ClarificationReceived":
        row.update(status=row["status_before"] if awaiting else row["status"], status_before=None)
        row["has_text"] = row["has_text"] or e["text"] is not None
    elif name == "TicketApproved":
        row.update(status="approved", status_before=None)
    elif name == "TicketRefused":
        row.update(status="refused", status_before=None, refusal_reason=e["reason_code"], appeal_route=e["appeal_route"])
    elif name == "TicketClosed":
        row.update(status="closed", status_before=None, resolution_code=e["resolution_code"], merged_into=e["merged_into"])
    elif name == "TicketReopened":
        ended = dict.fromkeys(("refusal_reason", "appeal_route", "resolution_code", "merged_into", "status_before"))
        row.update({"status": "in_processing"} | ended)
    else:
        raise AssertionError(f"the oracle does not know {name}")


def audit_of(r: Told, void: bool = False) -> dict[str, Any]:
    """Return the row of `audit_log`."""
    e = r.fields
    return {
        "topic": r.topic,
        "partition": r.partition,
        "offset": r.offset,
        "event_id": e.get("event_id"),
        "type": r.name,
        "subject": r.key.decode("utf-8", "replace").replace("\0", "�"),
        "actor": e.get("actor"),
        "version": e.get("version"),
        "cause_id": e.get("cause_id"),
        "occurred_at": e.get("occurred_at"),
        "recorded_at": e.get("received_at") if r.folder in FACT_FOLDERS or r.short == "EraOpened" else e.get("recorded_at"),
        "appended_at": r.appended_at,
        "void": void,
        "body": r.value,
    }


def three_years_after(time_us: int) -> int:
    """Return the same moment by the clock in Moscow, three years on; there is no 29 February then: 1 March."""
    seconds, rest = divmod(time_us, 1_000_000)
    local = datetime.fromtimestamp(seconds, ZONE)
    try:
        later = local.replace(year=local.year + YEARS)
    except ValueError:
        later = local.replace(year=local.year + YEARS, month=3, day=1)
    return int(later.timestamp()) * 1_000_000 + rest


def kept_contact(e: dict[str, Any]) -> dict[str, Any]:
    """Return the row of `retention_contact`."""
    return {
        "event_id": e["event_id"],
        "contact_id": e["contact_id"],
        "record_class": "contact",
        "received_at": e["received_at"],
        "keep_until": three_years_after(e["received_at"]),
    }


def kept_ticket(life: Sequence[Told]) -> dict[str, Any]:
    """Return the row of `retention_ticket`."""
    closed_at = None
    for record in life:
        if record.short == "TicketClosed":
            closed_at = record.fields["recorded_at"]
        if record.short == "TicketReopened":
            closed_at = None
    last = life[-1].fields
    until = None if closed_at is None else three_years_after(closed_at)
    kept = {"number": last["number"], "version": last["version"], "last_event_id": last["event_id"]}
    return kept | {"record_class": "ticket", "closed_at": closed_at, "keep_until": until}


def kept_files(records: Iterable[Told]) -> list[dict[str, Any]]:
    """Return the rows of `retention_file`: each file that any record names, repeats of a fact too, once for each fact."""
    found: Rows = {}
    for row in (row for r in records for row in files_named_by(r)):
        if (row["digest"], row["event_id"]) not in found:
            found[row["digest"], row["event_id"]] = row
    return list(found.values())


def files_named_by(r: Told) -> list[dict[str, Any]]:
    """Return what a record says of stored files."""
    e = r.fields
    found: list[tuple[int, bytes, str]] = []
    if r.short == "RecordingStored":
        found.append((1, e["digest"], "recording"))
    if r.short == "ChatFileOffered" and e["digest"] is not None:
        found.append((1, e["digest"], "attachment"))
    if r.short == "LetterReceived":
        found.append((0, e["raw_digest"], "letter"))
    for position, file in enumerate(e.get("attachments") or e.get("evidence") or (), 1):
        found.append((position, file["digest"], "attachment"))
    same = {"event_id": e["event_id"], "contact_id": e["contact_id"], "stored_at": e["received_at"]}
    until = three_years_after(e["received_at"])
    return [same | {"position": p, "digest": d, "record_class": c, "keep_until": until} for p, d, c in found]


def contact_fact(r: Told) -> dict[str, Any]:
    """Return the row of `contact_fact`."""
    e = r.fields
    copied = ("event_id", "contact_id", "channel", "actor", "occurred_at", "occurred_offset_min", "received_at")
    given = [what for what in ("name", "phone", "text") if e.get(f"has_{what}") or e.get(what) is not None]
    here = {"type": r.short, "partition": r.partition, "offset": r.offset}
    if e.get("filed_by") == "phone":  # a complaint taken by phone is a fact of its call
        here["channel"] = "phone"
    return {name: e[name] for name in copied} | here | {"language": e.get("language", ""), "given": given}


def contacts_of(facts: Sequence[Told]) -> list[dict[str, Any]]:
    """Return the rows of `contacts`."""
    found: dict[bytes, list[Told]] = defaultdict(list)
    for r in facts:
        found[r.fields["contact_id"]].append(r)
    rows = []
    for contact_id, told in found.items():
        times = [r.fields["received_at"] for r in told]
        first = min(told, key=lambda r: (r.partition, r.offset))
        rows.append({"contact_id": contact_id, "channel": contact_fact(first)["channel"], "facts": len(told)})
        rows[-1] |= {"first_at": min(times), "last_at": max(times)}
    return rows


def ties_of(life: Sequence[Told]) -> list[dict[str, Any]]:
    """Return the rows of `contact_ticket` of one ticket."""
    return [
        {
            "event_id": r.fields["event_id"],
            "contact_id": r.fields["contact_id"],
            "number": r.fields["number"],
            "ordinal": r.fields.get("ordinal", 0),
            "since": r.fields["recorded_at"],
        }
        for r in life
        if r.short in ("TicketRegistered", "ClarificationReceived")
    ]


def by_cause(records: Iterable[Told]) -> dict[tuple[str, int, int], list[dict[str, Any]]]:
    """Return the outcomes of each cause, in the order of the log."""
    groups: dict[tuple[str, int, int], list[dict[str, Any]]] = defaultdict(list)
    for r in records:
        if r.short == "CauseSettled":
            groups[r.fields["cause_topic"], r.fields["cause_partition"], r.fields["cause_offset"]].append(r.fields)
    return dict(groups)


def outcome_of(outcomes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the row of `outcomes`: the highest era, then the last result that is one, then what came first with it."""
    era = max(o["era"] for o in outcomes)
    of_era = [o for o in outcomes if o["era"] == era]
    results = [o["result"] for o in of_era]
    counts = ([result for result in results if result != "parked"] or results)[-1]
    o = next(o for o in of_era if o["result"] == counts)
    copied = ("cause_topic", "cause_partition", "cause_offset", "cause_id", "cause_key", "era", "result", "rule", "detail")
    more = ("first_partition", "first_offset", "ticket_version", "recorded_at")
    decided = {f"decided_{name}s": [d[name] for d in o["decisions"]] for name in ("number", "version", "partition", "offset")}
    return {name: o[name] for name in (*copied, *more)} | decided


def reaches(records: Iterable[Told]) -> list[dict[str, Any]]:
    """Return the rows of `outcome_reach`."""
    seen: dict[tuple[str, int], set[int]] = defaultdict(set)
    greatest: dict[tuple[str, int], dict[int, int]] = defaultdict(dict)
    for (topic, partition, offset), outcomes in by_cause(records).items():
        seen[topic, partition].add(offset)
        for decision in (d for o in outcomes for d in o["decisions"]):
            known = greatest[topic, partition]
            known[decision["partition"]] = max(decision["offset"], known.get(decision["partition"], -1))
    rows = []
    for (topic, partition), offsets in seen.items():
        settled = -1
        while settled + 1 in offsets:
            settled += 1
        decided = [greatest[topic, partition].get(p, -1) for p in range(max(greatest[topic, partition], default=-1) + 1)]
        rows.append({"cause_topic": topic, "cause_partition": partition, "settled_offset": settled, "greatest_offset": max(offsets)})
        rows[-1]["decided"] = decided
    return rows


def stored(dsn: str) -> dict[str, Rows]:
    """Return what the views of the read models in a database hold, in the same form."""
    found: dict[str, Rows] = {}
    with psycopg.connect(dsn) as db, db.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        for view, key in KEYS.items():
            rows = cursor.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(view))).fetchall()
            found[view] = {tuple(row[column] for column in key): row for row in rows}
    return found


def differences(dsn: str, records: Iterable[Told], most: int = 20) -> list[str]:
    """Return where the read models in a database differ from the log, one line each, at most `most` for each view."""
    wanted, held = expected(records), stored(dsn)
    lines: list[str] = []
    for view in KEYS:
        here = [f"{view} {key}: missing" for key in wanted[view].keys() - held[view].keys()]
        here += [f"{view} {key}: nothing on the log says so" for key in held[view].keys() - wanted[view].keys()]
        for key in wanted[view].keys() & held[view].keys():
            want, have = wanted[view][key], held[view][key]
            columns = sorted(c for c in want.keys() | have.keys() if want.get(c) != have.get(c) or (c in want) != (c in have))
            here += [f"{view} {key}: {columns} differ"] if columns else []
        lines += sorted(here)[:most]
    return lines
