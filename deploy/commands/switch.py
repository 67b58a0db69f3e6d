"""`hotline switch MODEL`: readers ask the newest build of a read model from now on, or with `--back` the one before."""

import json

import click

from deploy.exits import DONE, FOUND
from events.settings import Settings


@click.command("switch")
@click.argument("model")
@click.option("--back", is_flag=True, help="To the build that served before; asks for no comparison.")
@click.option("--dry-run", is_flag=True, help="Only say whether it would be done.")
@click.option("--json", "as_json", is_flag=True, help="One object, nothing else.")
def COMMAND(model: str, back: bool, dry_run: bool, as_json: bool) -> int:  # noqa: N802 - the name the table looks for
    """Let readers of MODEL ask its newest build; compares first unless that was done within the last ten minutes.

    Refused, with exit code 1, while there are differences that no rule expects. The build that served goes on being followed.
    """
    from deploy.models import answering, compared_lately
    from events import crash_points
    from events.logging import configure
    from projectors import builds, database
    from projectors.builds.switching import Differs, Refused, check, choose, switch

    configure("switch")
    settings = Settings()
    crash_points.arm(settings.crash_point)
    try:
        with answering(), database.connect(settings.database, "switch") as db:
            old, new = choose(builds.list_builds(db, [model]), back=back)
            if not back and not dry_run:
                compared_lately(settings, db, old, new)
            if dry_run:
                if not back:
                    check(db, old, new)
                told = {"model": model, "old": old.consumer, "new": new.consumer, "dry_run": True}
                click.echo(json.dumps(told) if as_json else f"would switch {model} from {old.consumer} to {new.consumer}")
                return DONE
            done = switch(db, model, back=back)
    except Refused as refused:
        differences = refused.differences if isinstance(refused, Differs) else []
        if as_json:
            click.echo(json.dumps({"model": model, "refused": str(refused), "differences": differences}))
        else:
            click.echo(f"refused: {refused}", err=True)
            for table, ticket, column, before, after in differences[:20]:
                click.echo(f"{ticket}  {table}.{column}: {before} → {after}", err=True)
        return FOUND
    told = {"model": model, "old": done.old.consumer, "new": done.new.consumer, "attempts": done.attempts, "dry_run": False}
    if as_json:
        click.echo(json.dumps({**told, "took_ms": round(done.took_s * 1000), "held_ms": round(done.held_s * 1000)}))
    else:
        click.echo(f"{model}: {done.new.consumer} serves, {done.old.consumer} goes on being followed; {done.held_s * 1000:.0f} ms")
    return DONE
