"""`hotline status`: what runs where, the settings without secrets, and how far each consumer is behind."""

import json
from dataclasses import asdict
from typing import Any

import click

from deploy import runfile
from deploy.exits import AWAY, DONE, FOUND
from deploy.problems import PartAway
from events.settings import Settings


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="One object, nothing else.")
def COMMAND(as_json: bool) -> int:  # noqa: N802 - the name the table looks for
    """Show the stack. Exit code 1 if something of it is down, 3 if Kafka or the database does not answer."""
    from deploy.lag import read_lags

    settings = Settings()
    seen = _seen(settings)
    code = FOUND if any(entry["state"] == "down" for entry in seen["processes"]) else DONE
    try:
        seen["lag"] = [asdict(lag) for lag in read_lags(settings)]
    except PartAway as problem:
        seen["problem"], code = str(problem), AWAY
    click.echo(json.dumps(seen) if as_json else "\n".join(_lines(seen)))
    return code


def _seen(settings: Settings) -> dict[str, Any]:
    run = runfile.read(settings.folder)
    alive = run is not None and run.supervisor.lives()
    return {
        "home": str(settings.folder),
        "supervisor": run.supervisor.pid if run and alive else None,
        "ready": bool(run and alive and run.ready),
        "processes": [_entry(entry) for entry in run.entries] if run else [],
        "settings": settings.shown(),
        "lag": [],
        "problem": None,
    }


def _entry(entry: runfile.Entry) -> dict[str, Any]:
    pid = entry.life.pid if entry.life and entry.life.lives() else None
    shown = {"name": entry.name, "kind": entry.kind, "state": entry.state, "pid": pid}
    return {**shown, "up_since": entry.up_since if pid else None, "restarts": entry.restarts}


def _lines(seen: dict[str, Any]) -> list[str]:
    lines = [f"{name} = {value}" for name, value in seen["settings"].items()]
    lines.append("")
    if not seen["processes"]:
        lines.append(f"nothing runs in {seen['home']}")
    elif seen["supervisor"] is None:
        lines.append("the supervisor is gone; `hotline down` clears up, `hotline up` starts anew")
    for entry in seen["processes"]:
        pid = f"pid {entry['pid']}" if entry["pid"] else ""
        lines.append(f"{entry['name']:<28} {entry['state']:<9} {pid:<12} since {entry['up_since'] or '-'}  restarts {entry['restarts']}")
    if seen["lag"]:
        lines.append("")
    for lag in seen["lag"]:
        seconds = "" if lag["seconds"] is None else f", the oldest waits {lag['seconds']} s"
        lines.append(f"{lag['consumer']:<28} {lag['topic']:<20} {lag['records']} records behind{seconds}")
    if seen["problem"]:
        lines += ["", seen["problem"]]
    return lines
