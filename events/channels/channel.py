"""What every channel is: a translation of one input into facts, and what a translation may use.

A translation is pure but for two things it is given: a sealer that turns people's words into sealed values and a store for sealed files.
It knows nothing of HTTP, of Kafka or of the vault behind the sealer. The same input always gives the same ids.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from events.envelope import Fact
from events.identity import Identity
from events.reference import Limits

CITIZEN, OPERATOR = "citizen", "operator"  # parties of a contact, each with a key of its own
MANY_FILES = 100  # files of one input; a letter's others stay in the stored letter


class Rejected(Exception):
    """An input breaks its format. Says which field, which rule and what would be right; never what stood there."""

    def __init__(self, field: str, rule: str, detail: str = "") -> None:
        super().__init__(f"{field or 'message'}: {rule}")
        self.field = field
        self.rule = rule
        self.detail = detail


class Seals(Protocol):
    """Turns something personal into a sealed value under the key of one party of one contact."""

    def seal(self, case: bytes, party: str, event_id: bytes, field: str, clear: bytes | str, /) -> bytes:
        """Return the sealed value; `event_id` and `field` say where it stands first."""


class KeepsFiles(Protocol):
    """A store of sealed files."""

    def put(self, sealed: bytes, /) -> bytes:
        """Keep a sealed file for good; return its digest (SHA-256 over the sealed bytes)."""

    def exists(self, digest: bytes, /) -> bool:
        """Tell whether the file is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What the translation of one input may use."""

    identity: Identity
    sealer: Seals
    files: KeepsFiles
    received_at_us: int
    limits: Limits  # a parsed document no longer knows its size: whoever reads JSON from outside holds to `json_bytes`


FromJson = Callable[[object, Intake], tuple[Fact, ...]]
FromBytes = Callable[[bytes, Intake], tuple[Fact, ...]]


@dataclass(frozen=True, slots=True)
class Channel:
    """One way in: its name and how a parsed JSON document and, for letters, raw bytes become facts."""

    name: str
    from_json: FromJson
    from_bytes: FromBytes | None = None
