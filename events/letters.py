"""Facts of e-mail (R76-R93)."""

from dataclasses import dataclass

from events.envelope import Fact, StoredFile


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterReceived(Fact):
    """A letter arrived; the whole of it lies sealed in the store, what a clerk reads first stands here."""

    size_bytes: int
    raw_digest: bytes  # SHA-256 over the ciphertext of the whole letter
    message_key: bytes  # keyed hash of its Message-ID
    auto_submitted: bool  # an automatic reply or a bounce: no ticket
    has_sender: bool
    has_name: bool
    has_phone: bool
    has_text: bool
    text_cut: bool  # the text was longer than an event may hold; the whole is in the stored letter
    language: str
    sender: bytes | None
    name: bytes | None
    phone: bytes | None
    subject: bytes | None
    text: bytes | None
    thread_keys: tuple[bytes, ...]  # keyed hashes of the Message-IDs it answers
    attachments: tuple[StoredFile, ...]
