"""Facts of a telephone call, in the order of a call's life (R1-R22, R334)."""

from dataclasses import dataclass

from events.envelope import Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted(Fact):
    """A caller was connected to a line; this moment is the ticket's time (R334)."""

    leg: int
    line: str  # code of the line called, from the register of lines
    country: str  # ISO 3166 code of the calling number, empty when unknown (R21)
    language: str  # chosen in the voice menu, empty when none was (R22)
    has_phone: bool
    phone: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAnswered(Fact):
    """An operator picked up."""

    leg: int
    queue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTransferred(Fact):
    """The call was handed on, inside the hotline or out of it (R7, R12, R18)."""

    leg: int
    target_kind: str  # queue, operator, outside
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded(Fact):
    """The line was closed."""

    leg: int
    ending: str  # completed, abandoned, overflow, failed
    wait_s: int
    talk_s: int
    connected_at: int | None  # when a call record tells the connection once more


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingStored(Fact):
    """The recording lies in the store of sealed files and is kept three years at least (R212)."""

    leg: int
    digest: bytes  # SHA-256 over the ciphertext
    size_bytes: int
    duration_s: int
    media_type: str
