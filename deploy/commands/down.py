"""`hotline down`: stop a stack, however it was started and whatever became of its supervisor; on demand forget its data."""

import click

from events.settings import Settings


@click.command("down")
@click.option("--wipe", is_flag=True, help="Also remove all data, keys and logs of this stack. There is no way back.")
@click.option("--dry-run", is_flag=True, help="Only show what would be stopped and removed.")
def COMMAND(wipe: bool, dry_run: bool) -> None:  # noqa: N802 - the name the table looks for
    """Stop all processes and local parts."""
    from deploy import runfile, stack

    folder = Settings().folder
    if dry_run:
        run = runfile.read(folder)
        ended = [entry.name for entry in run.entries if entry.life and entry.life.lives()] if run else []
    else:
        ended = stack.stop_stack(folder)
    would = "would be " if dry_run else ""
    click.echo(f"{would}stopped: {', '.join(ended)}" if ended else f"nothing runs in {folder}")
    if wipe:
        for path in stack.wipe(folder, only_show=dry_run):
            click.echo(f"{would}removed: {path}")
