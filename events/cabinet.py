"""Facts of the personal cabinet (R54-R75)."""

from dataclasses import dataclass

from events.envelope import Fact, StoredFile


@dataclass(frozen=True, slots=True, kw_only=True)
class CabinetRequestFiled(Fact):
    """A citizen who had signed in sent the feedback form."""

    category: str  # technical, procedure, proposal (R62-R64)
    topic: str
    service: str  # code of the state service meant, empty when none was named
    reply_by: str  # cabinet, call (R67)
    language: str
    has_name: bool
    has_phone: bool
    has_text: bool
    cabinet_id: bytes
    name: bytes | None
    phone: bytes | None
    email: bytes | None
    text: bytes | None
    attachments: tuple[StoredFile, ...]
