"""Sealed values: how a person's words travel through the log without anybody on the way being able to read them.

A value carries the id of its key and where it was first written, and is bound to both, so it can be copied from a fact into a decision but
not moved or changed unnoticed. Layout:

    format (1 byte) = 1 · alg (1) = 1, AES-256-GCM · key_id (16) · nonce (12) · origin_event_id (16)
    · origin_field (length byte and UTF-8) · ciphertext and tag

All bytes before the ciphertext are the associated data. Sealing needs a pool of keys and no database; it never opens what it sealed.
"""

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from events.identity import ID_BYTES
from events.vault.keys import KEY_ID_BYTES, PartyKey

FORMAT, ALG_AES_256_GCM = 1, 1
PARTIES_REMEMBERED = 50_000
_NONCE_BYTES = 12
_TAG_BYTES = 16
_KEY_AT = 2
_NONCE_AT = _KEY_AT + KEY_ID_BYTES
_ORIGIN_AT = _NONCE_AT + _NONCE_BYTES
_FIELD_AT = _ORIGIN_AT + ID_BYTES
_LONGEST_FIELD_BYTES = 255


class NotSealed(Exception):
    """These bytes are no sealed value of a form known here."""


class SealBroken(Exception):
    """Another key, or changed bytes: the value can't be opened."""


class KeyStock(Protocol):
    """What a sealer asks of a pool."""

    def take(self) -> PartyKey:
        """Return a fresh key; raise PoolEmpty."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed value, taken apart; nothing of it is personal."""

    format: int
    alg: int
    key_id: bytes
    nonce: bytes
    origin_event_id: bytes
    origin_field: str
    head: bytes  # everything before the ciphertext: the associated data
    ciphertext: bytes  # with its tag


@dataclass(frozen=True, slots=True)
class _PartySeal:
    key_id: bytes
    cipher: AESGCM


class Sealer:
    """Seals with one key for each party of each case. A party that was forgotten, or that another process knows, gets one more key."""

    def __init__(self, pool: KeyStock, parties_remembered: int = PARTIES_REMEMBERED) -> None:
        self._pool, self._most = pool, parties_remembered
        self._parties: OrderedDict[tuple[bytes, str], _PartySeal] = OrderedDict()
        self._lock = Lock()

    def seal(self, case: bytes, party: str, event_id: bytes, field: str, clear: bytes | str) -> bytes:
        """Return `clear` (text as UTF-8) sealed for `party` (citizen, operator …) of `case` (contact id, number); raise PoolEmpty."""
        name = field.encode()
        if len(event_id) != ID_BYTES or len(name) > _LONGEST_FIELD_BYTES:
            raise ValueError(f"an origin is {ID_BYTES} bytes and a field of at most {_LONGEST_FIELD_BYTES} bytes")
        seal = self._seal_of(case, party)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        head = b"".join((bytes((FORMAT, ALG_AES_256_GCM)), seal.key_id, nonce, event_id, bytes((len(name),)), name))
        return head + seal.cipher.encrypt(nonce, clear.encode() if isinstance(clear, str) else clear, head)

    def _seal_of(self, case: bytes, party: str) -> _PartySeal:
        with self._lock:
            seal = self._parties.get((case, party))
            if seal is None:
                key = self._pool.take()
                seal = self._parties[case, party] = _PartySeal(key.key_id, AESGCM(key.key))
                if len(self._parties) > self._most:
                    self._parties.popitem(last=False)
            else:
                self._parties.move_to_end((case, party))
            return seal


def parse(value: bytes) -> Sealed:
    """Take a sealed value apart; raise NotSealed."""
    if len(value) <= _FIELD_AT or (value[0], value[1]) != (FORMAT, ALG_AES_256_GCM):
        raise NotSealed("format or algorithm unknown, or too short")
    end = _FIELD_AT + 1 + value[_FIELD_AT]
    if len(value) < end + _TAG_BYTES:
        raise NotSealed("cut short")
    try:
        field = value[_FIELD_AT + 1 : end].decode()
    except UnicodeDecodeError:
        raise NotSealed("the field's name is no text") from None
    key_id, nonce, origin = value[_KEY_AT:_NONCE_AT], value[_NONCE_AT:_ORIGIN_AT], value[_ORIGIN_AT:_FIELD_AT]
    return Sealed(value[0], value[1], key_id, nonce, origin, field, value[:end], value[end:])


def unseal(key: bytes, value: bytes) -> bytes:
    """Open a sealed value with its key; raise NotSealed or SealBroken. For tests and for readers to come: no process calls it."""
    sealed = parse(value)
    try:
        return AESGCM(key).decrypt(sealed.nonce, sealed.ciphertext, sealed.head)
    except InvalidTag:
        raise SealBroken(f"field {sealed.origin_field}: another key, or changed bytes") from None
