"""Facts of an online chat, in the order of a chat's life (R41-R53)."""

from dataclasses import dataclass

from events.envelope import Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatOpened(Fact):
    """A citizen opened the chat window."""

    language: str
    has_name: bool
    name: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatMessagePosted(Fact):
    """Somebody wrote a message; `actor` tells whether it was the citizen. The citizen's first one opens a ticket."""

    ordinal: int | None  # which of the chat's tickets; None: the one opened last (R43)
    language: str
    size_chars: int
    text: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatFileOffered(Fact):
    """A screenshot, a document or a link was handed over (R44)."""

    ordinal: int | None
    media_type: str
    size_bytes: int
    digest: bytes | None  # SHA-256 over the ciphertext; None for a link
    name: bytes | None
    link: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatClosed(Fact):
    """The chat window was closed."""

    ending: str  # by_citizen, by_operator, silence, failed
