"""What can go wrong on the machine, named by what a person has to do about it.

Each is one clear line and an exit code of the command line. Knows neither Kafka nor Postgres, and never holds a person's data or a host
of a registry.
"""

from deploy.exits import AWAY, FOUND, USAGE

# How the line of a problem starts on standard error
SAID_BY_US = "hotline: "


class Problem(Exception):
    """Something outside keeps a command from being done; `str()` is the one line to show."""

    exit_code = FOUND


class PartAway(Problem):
    """A part (Kafka, Postgres, an application) cannot be reached, started or fetched in its time."""

    exit_code = AWAY


class PortTaken(PartAway):
    """Another program listens on a port that a part needs."""


class HomeInUse(Problem):
    """A running stack holds the folder; two servers on one folder would damage it."""


class JarsRefused(PartAway):
    """Files differ from the lock: never run."""


class WrongUsage(Problem):
    """A command was given something that it can't take."""

    exit_code = USAGE


class NotThere(Problem):
    """What was asked for is not part of this installation."""

    exit_code = USAGE


class Unwilling(Problem):
    """A difference that is never mended by a command, such as another number of partitions."""
