"""A counter where inputs are handed in: real ids, real sealing with keys that the test can look up, files in memory."""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from events.channels.channel import Intake
from events.channels.registry import translate
from events.envelope import Fact, StoredFile
from events.identity import Identity
from events.reference import Limits, load
from events.vault.keys import PartyKey
from events.vault.sealing import Sealer, parse, unseal

RECEIVED_AT = 1_741_940_000_000_000


class Keys:
    """An endless stock of keys."""

    def __init__(self) -> None:
        self.by_id: dict[bytes, bytes] = {}

    def take(self) -> PartyKey:
        number = len(self.by_id)
        key = PartyKey(number.to_bytes(16, "big"), sha256(number.to_bytes(16, "big")).digest())
        self.by_id[key.key_id] = key.key
        return key


class Files:
    """Sealed files by their digest."""

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}

    def put(self, sealed: bytes, /) -> bytes:
        digest = sha256(sealed).digest()
        self.kept[digest] = sealed
        return digest

    def exists(self, digest: bytes, /) -> bool:
        return digest in self.kept


def limits(**other: int) -> Limits:
    """Return the limits of the hotline, some of them other ones."""
    return load().limits.model_copy(update=other)


@dataclass
class Counter:
    """Hands inputs in and opens what came of them."""

    keys: Keys = field(default_factory=Keys)
    files: Files = field(default_factory=Files)
    limits: Limits = field(default_factory=limits)

    def __post_init__(self) -> None:
        self.sealer = Sealer(self.keys)

    def intake(self, received_at: int = RECEIVED_AT) -> Intake:
        return Intake(identity=Identity(b"k" * 32), sealer=self.sealer, files=self.files, received_at_us=received_at, limits=self.limits)

    def take(self, channel: str, document: object) -> Any:
        (fact,) = translate(channel, document, self.intake())
        return fact

    def open(self, sealed: bytes | None) -> str | None:
        return None if sealed is None else self.open_bytes(sealed).decode()

    def open_bytes(self, sealed: bytes) -> bytes:
        return unseal(self.keys.by_id[parse(sealed).key_id], sealed)

    def open_file(self, file: StoredFile) -> tuple[str, int, str | None, bytes]:
        return file.media_type, file.size_bytes, self.open(file.name), self.open_bytes(self.files.kept[file.digest])

    def key_of(self, sealed: bytes) -> bytes:
        return parse(sealed).key_id


def ids(fact: Fact) -> tuple[bytes, bytes]:
    return fact.event_id, fact.contact_id
