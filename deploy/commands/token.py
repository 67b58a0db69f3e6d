"""`hotline token`: an access token signed with the local key."""

import re

import click

from deploy.problems import NotThere, Problem, WrongUsage
from events.settings import Settings

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> int:
    """Read a length of time such as `90s`, `15m`, `8h`, `30d` in seconds; raises WrongUsage. How long is too long, `api.access` says."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if found is None:
        raise WrongUsage("--ttl: a length of time is wanted, such as 90s, 15m, 8h or 30d")
    return int(found[1]) * _UNITS_S[found[2]]


@click.command("token")
@click.option("--role", required=True, help="adapter, operator or auditor.")
@click.option("--sub", required=True, help="Who it is for: a name of an account, never a person's name.")
@click.option(
    "--ttl", "ttl_s", default="8h", callback=lambda _context, _option, text: seconds(text), show_default=True, help="How long it is valid."
)
def COMMAND(role: str, sub: str, ttl_s: int) -> None:  # noqa: N802 - the name the table looks for
    """Print a token for `Authorization: Bearer`."""
    from api.access import BadSubject, KeyUnusable, issue

    settings = Settings()
    if not settings.signing_key_path.exists():
        raise NotThere(f"no signing key at {settings.signing_key_path}: `hotline up` makes one, or set HOTLINE_SIGNING_KEY_FILE")
    try:
        click.echo(issue(settings, role, sub, ttl_s))
    except BadSubject as wrong:
        raise WrongUsage(str(wrong)) from None
    except KeyUnusable as unusable:
        raise Problem(str(unusable)) from None
