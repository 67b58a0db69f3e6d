"""The `hotline` command: the table of its commands, and what its exit codes mean.

Exit codes: 0 done; 1 done, and something was found or refused; 2 wrong usage; 3 a part is unreachable. Commands are imported when called.
"""

import errno
import sys
from importlib import import_module

import click
from pydantic import ValidationError

from deploy.exits import AWAY, DONE, FOUND, USAGE
from deploy.problems import SAID_BY_US, NotThere, Problem
from events.wire.bad_schemas import BadSchemas

# name, module with COMMAND, one line of help
COMMANDS: tuple[tuple[str, str, str], ...] = (
    ("up", "deploy.commands.up", "Start local parts and all processes."),
    ("down", "deploy.commands.down", "Stop them; with --wipe also forget all data."),
    ("status", "deploy.commands.status", "What runs where, settings, lag of each consumer."),
    ("run", "deploy.commands.run", "One process in the foreground."),
    ("demo", "deploy.commands.demo", "One believable day through every channel."),
    ("publish", "deploy.commands.publish", "Publish facts from files."),
    ("command", "deploy.commands.command", "An operator's command on a ticket."),
    ("ticket", "deploy.commands.ticket", "Card and timeline of one ticket."),
    ("tail", "deploy.commands.log.tail", "Decoded records of a topic, personal fields masked."),
    ("replay", "deploy.commands.log.replay", "A range of a topic read again: by time, place, token, ticket, type."),
    ("export", "deploy.commands.export", "A topic, or one row per ticket, as Avro, Parquet or CSV files."),
    ("parked", "deploy.commands.parked", "What could not be applied and waits for repair."),
    ("redrive", "deploy.commands.redrive", "Try again what is parked under one ticket or contact."),
    ("dead-letters", "deploy.commands.log.dead_letters", "Records that nobody can read."),
    ("verify", "deploy.commands.verify", "Read models compared with an independent fold of the log; one ticket repaired."),
    ("rebuild", "deploy.commands.rebuild", "Build a read model's next version beside the one that serves."),
    ("compare", "deploy.commands.compare", "The newest build of a read model against the one that serves."),
    ("switch", "deploy.commands.switch", "Let readers ask the newest build, or go back."),
    ("topics", "deploy.commands.kafka.topics", "Topics as code: plan, apply, check, strimzi."),
    ("acls", "deploy.commands.kafka.acls", "Who may do what on Kafka, as code: plan, apply, check."),
    ("catalogue", "deploy.commands.catalogue", "What the topics hold and what their readers may rely on."),
    ("doctor", "deploy.commands.doctor", "Every hazard of the set-up, each with its remedy."),
    ("schemas", "deploy.commands.schemas", "Schemas: check, lock, release, diff, push to a registry."),
    ("token", "deploy.commands.token", "A local access token."),
)


class Table(click.Group):
    """A group that reads names and help from COMMANDS and imports a command only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names in the order of the table."""
        return [name for name, _, _ in COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the command. Raises NotThere if this installation lacks it."""
        module_name = next((module for name, module, _ in COMMANDS if name == cmd_name), None)
        if module_name is None:
            return None
        try:
            found: click.Command = import_module(module_name).COMMAND
        except ModuleNotFoundError as problem:
            if problem.name != module_name:
                raise
            raise NotThere(f"`hotline {cmd_name}` is not part of this installation") from None
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """The table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, _, text in COMMANDS])


@click.group(cls=Table, context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """Hotline: an event-sourced ticket backend for a government-services hotline."""


def main() -> None:
    """Entry point: run the command and leave with its exit code."""
    sys.exit(exit_code(sys.argv[1:]))


def exit_code(words: list[str]) -> int:
    """Run a command; every foreseen problem becomes one line on standard error and an exit code."""
    try:
        answer = group.main(words, prog_name="hotline", standalone_mode=False)
    except click.ClickException as problem:
        problem.show()
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        return _complain("interrupted", FOUND)
    except (Problem, BadSchemas) as problem:
        return _complain(str(problem), problem.exit_code if isinstance(problem, Problem) else FOUND)
    except ValidationError as problem:
        wrong = (
            f"HOTLINE_{'.'.join(map(str, line['loc'])).upper()}: {line['msg']}" if line["loc"] else line["msg"]
            for line in problem.errors(include_input=False)
        )
        return _complain(f"settings: {'; '.join(wrong)}", USAGE)
    except OSError as problem:
        if problem.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        return _complain(f"{problem.strerror}: {problem.filename or 'while writing'}", AWAY)
    return answer if isinstance(answer, int) else DONE


def _complain(line: str, code: int) -> int:
    click.echo(f"{SAID_BY_US}{line}", err=True)
    return code


if __name__ == "__main__":
    main()
