"""`hotline rebuild MODEL`: makes a read model again beside the one that serves, or drops one that nobody wants any more."""

import json
import sys
from typing import TYPE_CHECKING

import click

from deploy.exits import DONE, FOUND
from events.settings import Settings

if TYPE_CHECKING:
    from consumers.rebuild.rebuilding import Limits, Rebuilt
    from projectors.model import ReadModel

_MB = 1_000_000


@click.command("rebuild")
@click.argument("model")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Processes that share the partitions.")
@click.option("--memory-mb", type=click.IntRange(128, 65_536), default=512, show_default=True, help="Memory that each of them may take.")
@click.option("--records-per-s", type=click.FloatRange(min=1), help="Read no more than so many a second, all together.")
@click.option("--drop", "dropped", metavar="BUILD", help="Forget this build, as `compare` names it; never the one that serves.")
@click.option("--dry-run", is_flag=True, help="Predict records, time and disk; or name what would be dropped. Writes nothing.")
@click.option("--json", "as_json", is_flag=True, help="One object, nothing else.")
def COMMAND(  # noqa: N802 - the name the table looks for
    model: str, workers: int, memory_mb: int, records_per_s: float | None, dropped: str | None, dry_run: bool, as_json: bool
) -> int:
    """Build MODEL's next version from offset 0 beside the one that serves, and let the projectors follow it.

    May be killed and called again: it goes on. Exit code 1 if it stopped at something that a person must look at, or nobody follows it.
    """
    from consumers.rebuild.rebuilding import Limits
    from deploy.models import answering, model_named
    from events.logging import configure

    configure("rebuild")
    settings = Settings()
    with answering():
        chosen = model_named(settings, model)
        if dropped is not None:
            return _drop(settings, model, dropped, dry_run, as_json)
        limits = Limits(workers, memory_mb, records_per_s)
        return _predict(settings, chosen, limits, as_json) if dry_run else _rebuild(settings, chosen, limits, as_json)


def _rebuild(settings: Settings, model: "ReadModel", limits: "Limits", as_json: bool) -> int:
    from consumers.project import collect_rarely
    from consumers.rebuild.crew import Stopped
    from consumers.rebuild.rebuilding import Progress, UnderWay, rebuild
    from deploy.problems import Unwilling
    from deploy.simulator.progress import shown
    from events import crash_points
    from projectors.builds import BuildGone

    crash_points.arm(settings.crash_point)
    collect_rarely()
    progress = Progress()
    try:
        with shown(sys.stderr, progress.line):
            done = rebuild(settings, model, limits=limits, progress=progress)
    except BuildGone as gone:
        raise Unwilling(f"{gone} was dropped meanwhile") from None
    except (Stopped, UnderWay) as failure:
        raise Unwilling(f"{failure}; call it again to go on, or drop the build") from None
    return _tell(done, progress.notes, as_json)


def _tell(done: "Rebuilt", notes: list[str], as_json: bool) -> int:
    told = {
        "model": done.build.model,
        "build": done.build.consumer,
        "records": done.records,
        "resumed_at": done.resumed_at,
        "read_s": round(done.read_s, 1),
        "index_s": round(done.index_s, 1),
        "records_per_s": round(done.records_per_s),
        "most_memory_mb": done.most_memory_mb,
        "followed": done.followed,
        "notes": notes,
    }
    if as_json:
        click.echo(json.dumps(told))
        return DONE if done.followed else FOUND
    for note in notes:
        click.echo(note)
    click.echo(
        f"{done.build.consumer}: {done.records} records in {done.read_s:.1f} s ({told['records_per_s']}/s), "
        f"indexes {done.index_s:.1f} s, at most {done.most_memory_mb} MB a worker"
    )
    click.echo(
        "projectors follow it; next: `hotline compare`, `hotline switch`"
        if done.followed
        else "no projector follows it yet: is `hotline run projectors` of this version running?"
    )
    return DONE if done.followed else FOUND


def _predict(settings: Settings, model: "ReadModel", limits: "Limits", as_json: bool) -> int:
    from consumers.rebuild.predicting import predict

    told = predict(settings, model, limits)
    if as_json:
        click.echo(json.dumps(told._asdict()))
        return DONE if told.fits else FOUND
    room = "unknown (the server is not ours)" if told.free_bytes is None else f"{told.free_bytes // _MB} MB free"
    click.echo(f"{told.build}: {told.records} records{f', {told.resumed_at} of them read already' if told.resumed_at else ''}")
    click.echo(f"about {told.seconds:.0f} s at {told.records_per_s:.0f}/s ({told.measured_by}), of that {told.index_s:.0f} s for indexes")
    click.echo(f"about {told.disk_bytes // _MB} MB of disk; {room}")
    return DONE if told.fits else FOUND


def _drop(settings: Settings, model: str, dropped: str, dry_run: bool, as_json: bool) -> int:
    from deploy.problems import NotThere, Unwilling
    from projectors import builds, database
    from projectors.builds import BuildGone, StillFollowed

    with database.connect(settings.database, "rebuild") as db:
        there = builds.list_builds(db, [model])
        chosen = next((build for build in there if build.consumer == dropped), None)
        if chosen is None:
            raise NotThere(f"{model} has no build {dropped}; there are: {', '.join(build.consumer for build in there)}")
        if chosen.serving:
            raise Unwilling(f"{dropped} serves: switch to another one first")
        if not dry_run:
            try:
                builds.drop(db, chosen)
            except StillFollowed:
                raise Unwilling(f"{dropped} is still followed; it is off the list, call again to remove its tables") from None
            except BuildGone:
                raise Unwilling(f"{dropped} serves by now, or is gone") from None
    told = {"model": model, "dropped": dropped, "tables": list(chosen.tables), "dry_run": dry_run}
    click.echo(json.dumps(told) if as_json else f"{'would drop' if dry_run else 'dropped'} {dropped}: {', '.join(chosen.tables)}")
    return DONE
