"""What a check says when it found something. Knows nothing of what was looked at."""

from dataclasses import dataclass

HARD, WARNING = "hard", "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One hazard: `hard` if something is lost, doubled or stands still by it, `warning` if the service goes on, at a risk.

    `code` is for programs, `what` and `remedy` are for people: what was found and where, and what to do about it. Never a person's data.
    """

    code: str
    severity: str
    what: str
    remedy: str

    @property
    def line(self) -> str:
        """The one line to show."""
        return f"{self.severity:<8} {self.code}: {self.what}; remedy: {self.remedy}"


def hard(code: str, what: str, remedy: str) -> Finding:
    """A finding that keeps our processes from starting, where it is looked for at a start."""
    return Finding(code, HARD, what, remedy)


def warning(code: str, what: str, remedy: str) -> Finding:
    """A finding that nobody is stopped by."""
    return Finding(code, WARNING, what, remedy)
