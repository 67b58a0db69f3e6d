"""`hotline schemas check|lock|release|diff|push`: the schemas against their own rules, ids for new ones, what changed between versions,
and how they get into a schema registry.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from deploy.exits import DONE, FOUND
from deploy.problems import Unwilling, WrongUsage
from events.catalogue import EVENT_TYPES, EventType


@click.group("schemas")
def COMMAND() -> None:  # noqa: N802 - the name the table looks for
    """The public contract in schemas/."""


@COMMAND.command("check")
@click.option("--json", "as_json", is_flag=True, help="One object, nothing else.")
def check(as_json: bool) -> int:
    """Say what is wrong with the schemas; exit code 1 if anything is."""
    from events.wire.schema_rules import check as problems_of_schemas

    problems = problems_of_schemas()
    click.echo(json.dumps({"problems": problems}) if as_json else "\n".join(problems) or "schemas: in order")
    return FOUND if problems else DONE


@COMMAND.command("lock")
@click.option("--dry-run", is_flag=True, help="Say what would be locked and write nothing.")
def lock(dry_run: bool) -> None:
    """Give every new schema, and every edited one that is not released, an id of its own; write their golden records.

    Refused, with exit code 1, while a released one is edited or gone, a file is no schema, or the lock contradicts itself.
    """
    from events.wire.schema_lock import Frozen, lock_schemas

    try:
        done = lock_schemas(write=not dry_run)
    except Frozen as refused:
        raise Unwilling(str(refused)) from None
    click.echo("\n".join(done) or "schemas: nothing new")


@COMMAND.command("release")
@click.argument("tag")
@click.option("--dry-run", is_flag=True, help="Say what would be frozen and write nothing.")
def release(tag: str, dry_run: bool) -> None:
    """Freeze all versions that no release has yet; commit the lock, then set the tag TAG there. Refused while `check` finds anything."""
    from events.wire.schema_lock import NotReleasable
    from events.wire.schema_lock import release as release_schemas

    try:
        done = release_schemas(tag, write=not dry_run)
    except NotReleasable as refused:
        raise Unwilling(str(refused)) from None
    click.echo("\n".join(done) or "schemas: all released already")


@COMMAND.command("push")
@click.argument("url", required=False)
@click.option("--dry-run", is_flag=True, help="Say what would be pushed and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="One object, nothing else.")
def push(url: str | None, dry_run: bool, as_json: bool) -> int:
    """Bring every locked version to the schema registry at URL (default: HOTLINE_REGISTRY) under its own id.

    Refused whole, with exit code 1, while an id or a version of ours holds something else there. The same push again changes nothing.
    """
    from deploy.registry.pushing import push as push_schemas
    from deploy.registry.pushing import require_no_collision
    from events.settings import Settings

    done = push_schemas(url or Settings().registry_address, dry_run=dry_run)
    if as_json:
        pushed = [{"subject": one.subject, "version": one.version, "id": one.id} for one in done.pushed]
        about = {"registry": done.kind, "dry_run": dry_run, "pushed": pushed, "there": len(done.there), "collisions": done.collisions}
        click.echo(json.dumps(about))
        return FOUND if done.collisions else DONE
    require_no_collision(done)
    would = "would be " if dry_run else ""
    for one in done.pushed:
        click.echo(f"{would}pushed: {one} as {one.id}")
    click.echo(f"{done.kind}: {len(done.pushed)} {would}pushed, {len(done.there)} there already")
    return DONE


@COMMAND.command("diff")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="One object, nothing else.")
def diff(name: str | None, as_json: bool) -> None:
    """Show what changed from version to version, of all events or of NAME (TicketRefused or hotline.tickets.TicketRefused).

    A file that was edited since it was locked is named too; the lock knows only that it was, not what.
    """
    from events.wire.schemas import FOLDER

    kinds = [kind for kind in EVENT_TYPES if name in (None, kind.event.__name__, kind.record_name)]
    if not kinds:
        raise WrongUsage("no event type has this name: write TicketRefused or hotline.tickets.TicketRefused")
    found = [one for kind in kinds for one in differences(kind, FOLDER)]
    click.echo(json.dumps({"differences": found}, ensure_ascii=False) if as_json else "\n".join(map(_line, found)) or "schemas: no change")


def differences(kind: EventType, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what changed from each version to the next: `event`, `from`, `to`, `path`, `reason`, `breaks`; an edited file has no `from`."""
    from events.wire.compatibility import Break, changes
    from events.wire.schemas import files_of, read_lock, read_schema, subject, why_not_as_locked

    locked = read_lock(folder).subjects.get(subject(kind.topics[0], kind), {})
    older: tuple[int, Any] | None = None
    for number, path in files_of(kind, folder).items():
        schema = read_schema(path)
        about = {"event": kind.event.__name__, "from": older[0] if older else None, "to": number}
        for one in changes(older[1], schema) if older else ():
            yield {**about, "path": one.path, "reason": one.reason, "breaks": isinstance(one, Break)}
        if number in locked and (edited := why_not_as_locked(path, locked[number], schema)):
            yield {**about, "from": None, "path": "", "reason": edited, "breaks": False}
        older = number, schema


def _line(one: dict[str, Any]) -> str:
    versions = f"version {one['from']} to {one['to']}" if one["from"] else f"version {one['to']}"
    path = f"{one['path']}: " if one["path"] else ""
    return f"{one['event']}, {versions}: {'BREAKS ' if one['breaks'] else ''}{path}{one['reason']}"
