"""`hotline export TOPIC|ticket_facts`: the log, or one flat row for each ticket, as files for other people's tools."""

import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from deploy.exits import DONE
from events.settings import Settings

if TYPE_CHECKING:
    from consumers.export.exporting import Asked, Done, Progress
    from consumers.export.facts import FactsSource
    from consumers.export.topic import TopicSource
    from projectors.tokens import Token

_FORMATS = ("avro", "parquet", "csv")
_MOST_ROWS = 1_000_000


@click.command("export")
@click.argument("what", metavar="TOPIC|ticket_facts")
@click.option("--format", "form", type=click.Choice(_FORMATS), required=True, help="parquet needs the extra `lake`.")
@click.option("--to", "folder", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder, made if it is not there.")
@click.option("--from", "since", metavar="TOKEN", help="After what it includes: the `until` of an earlier export goes on where that ended.")
@click.option("--until", metavar="TOKEN", help="With what it includes; default: all there is as the export begins.")
@click.option("--rows-per-file", type=click.IntRange(1, _MOST_ROWS), default=50_000, show_default=True)
@click.option("--dry-run", is_flag=True, help="Say what would be exported; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="One object, nothing else.")
def COMMAND(  # noqa: N802 - the name the table looks for
    what: str, form: str, folder: Path, since: str | None, until: str | None, rows_per_file: int, dry_run: bool, as_json: bool
) -> int:
    """Export a topic (`tickets` is `hotline.tickets`), or the facts about tickets, into a folder; nothing about a person is in it.

    May be killed and called again: it goes on, and the files are the same as if it had not been. `_manifest.json` says what was exported,
    its columns, and each file's range and SHA-256; there is no file where there is no row. Exit code 1 if the log does not hold it or a
    newer version wrote to it, the folder is another export's or holds anything else, a file has changed or decisions wait for repair; 3 if
    a part does not answer or the read models have not come so far.
    """
    from consumers.export.exporting import Asked, Progress, export, predict
    from consumers.project import collect_rarely
    from deploy.commands.log.lines import topic_of
    from deploy.simulator.progress import shown
    from events import crash_points
    from events.logging import configure

    configure("export")
    crash_points.arm(Settings().crash_point)
    collect_rarely()
    name = what if what == "ticket_facts" else topic_of(what)
    asked = Asked(name, form, _token("--from", since, name), _token("--until", until, name), rows_per_file)
    _require_order(asked)
    with _answering(name), closing(_source(name)) as source:
        if dry_run:
            return _tell(predict(source, asked, folder), asked, folder, dry_run=True, as_json=as_json)
        progress = Progress()
        with shown(sys.stderr, lambda: _line(progress)):
            done = export(source, asked, folder, progress)
    return _tell(done, asked, folder, dry_run=False, as_json=as_json)


def _source(name: str) -> "TopicSource | FactsSource":
    if name == "ticket_facts":
        from consumers.export.facts import FactsSource

        return FactsSource(Settings())
    from consumers.export.topic import TopicSource

    return TopicSource(Settings().kafka_access, name)


def _token(option: str, text: str | None, name: str) -> "Token | None":
    from deploy.problems import WrongUsage
    from projectors.tokens import BadToken, Token

    if text is None:
        return None
    try:
        token = Token.parse(text)
    except BadToken as bad:
        raise WrongUsage(f"{option}: {bad}") from None
    topic = _topic(name)
    if token and all(named != topic for named, _ in token):
        raise WrongUsage(f"{option}: the token names no place of {topic}")
    return token


def _topic(name: str) -> str:
    from events.envelope import TICKETS

    return TICKETS if name == "ticket_facts" else name


def _require_order(asked: "Asked") -> None:
    """Refuse an end that does not include all that the beginning does: who goes on from it would get records twice."""
    from deploy.problems import WrongUsage

    if asked.since is None or asked.until is None:
        return
    for (topic, partition), offset in asked.since.items():
        last = asked.until.get((topic, partition))
        if topic == _topic(asked.what) and (last is None or last < offset):
            ends = "nothing of it" if last is None else f"it only up to {last}"
            raise WrongUsage(f"--from includes {topic}/{partition} up to {offset}, --until {ends}")


@contextmanager
def _answering(name: str) -> Iterator[None]:
    """Turn what an export fails with into a problem of one line."""
    from consumers.batches import Hole
    from consumers.export.facts import NotReached, Waits
    from consumers.export.folder import FileChanged, FolderInUse, NoFolder, NotOurs, OtherExport
    from consumers.export.formats import MissingExtra
    from consumers.replay import Ahead, Gone, NoTopic
    from deploy.models import answering
    from deploy.problems import NotThere, PartAway, Problem, WrongUsage
    from events.wire.codec import UnknownSchema

    try:
        with answering():
            yield
    except NoTopic:
        raise NotThere(f"there is no topic {name}") from None
    except MissingExtra as missing:
        raise NotThere(str(missing)) from None
    except NotReached as behind:
        raise PartAway(str(behind)) from None
    except UnknownSchema as unknown:
        raise Problem(f"{unknown}: a newer version of this service writes to the log, export with that") from None
    except Gone as gone:
        raise Problem(f"gone, the log holds it no longer: {gone}") from None
    except Ahead as ahead:
        raise Problem(f"not reached: {ahead}") from None
    except Hole as hole:
        raise Problem(f"the log lost something: {hole}") from None
    except NoFolder as no:
        raise WrongUsage(f"--to: {no}") from None
    except (FolderInUse, NotOurs, OtherExport, FileChanged, Waits) as refused:
        raise Problem(str(refused)) from None


def _line(progress: "Progress") -> str:
    from deploy.simulator.progress import pace

    here = progress.done - progress.before
    return f"{progress.done} of {progress.rows} rows, {pace(here, progress.rows - progress.before, monotonic() - progress.began_s, 0.0)}"


def _tell(done: "Done", asked: "Asked", folder: Path, *, dry_run: bool, as_json: bool) -> int:
    told: dict[str, Any] = {
        "what": asked.what,
        "format": asked.format,
        "folder": str(folder),
        "from": done.plan["from"],
        "until": done.plan["until"],
        "rows": done.plan["rows"] if dry_run else done.rows,
        "files": len(done.files),
        "bytes": sum(line["bytes"] for line in done.files),
        "resumed_at": done.resumed_at,
        "dry_run": dry_run,
    }
    if as_json:
        click.echo(json.dumps(told))
        return DONE
    there = f", {done.resumed_at} of them are there already" if done.resumed_at else ""
    if dry_run:
        click.echo(f"{asked.what}: would export {told['rows']} rows{there} into {folder}")
    else:
        click.echo(f"{asked.what}: {told['rows']} rows{there} in {told['files']} files of {told['bytes']} bytes in {folder}")
    click.echo(f"until {told['until']}")
    return DONE
