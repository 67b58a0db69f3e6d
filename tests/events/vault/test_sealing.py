"""Sealed values: their layout, one key for a party, and nothing to be learnt or changed without it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.vault.keys import PartyKey
from events.vault.pool import PoolEmpty
from events.vault.sealing import NotSealed, SealBroken, Sealed, Sealer, parse, unseal

CASE, EVENT = b"c" * 16, b"e" * 16


class Stock:
    """Gives numbered keys, as many as it was told."""

    def __init__(self, count: int = 1_000) -> None:
        self.given = [PartyKey(bytes(15) + bytes([n % 256]), bytes(31) + bytes([n % 256])) for n in range(count)]
        self.left = list(self.given)

    def take(self) -> PartyKey:
        if not self.left:
            raise PoolEmpty("none left")
        return self.left.pop(0)


@settings(max_examples=50)
@given(clear=st.binary(max_size=2_000), field=st.text(max_size=60), event_id=st.binary(min_size=16, max_size=16))
def test_what_was_sealed_is_opened_with_its_key_and_says_where_it_came_from(clear: bytes, field: str, event_id: bytes) -> None:
    stock = Stock()

    value = Sealer(stock).seal(CASE, "citizen", event_id, field, clear)

    assert unseal(stock.given[0].key, value) == clear
    sealed = parse(value)
    assert (sealed.origin_event_id, sealed.origin_field) == (event_id, field)


def test_the_layout_is_the_one_that_strangers_read() -> None:
    stock = Stock()

    value = Sealer(stock).seal(CASE, "citizen", EVENT, "name", "Гузель")

    assert value[:2] == b"\x01\x01"
    assert value[2:18] == stock.given[0].key_id
    assert value[30:46] == EVENT
    assert value[46:51] == b"\x04name"
    assert len(value) == 51 + len("Гузель".encode()) + 16
    assert parse(value) == Sealed(1, 1, value[2:18], value[18:30], EVENT, "name", value[:51], value[51:])


def test_a_party_of_a_case_keeps_its_key_and_no_two_parties_share_one() -> None:
    sealer = Sealer(Stock())

    keys = [
        parse(sealer.seal(case, party, EVENT, "text", "x")).key_id for case in (CASE, b"other") for party in ("citizen", "operator") * 2
    ]

    assert keys[0] == keys[2]
    assert keys[1] == keys[3]
    assert len(set(keys)) == 4


def test_the_same_words_sealed_twice_differ_in_every_byte_that_could_tell() -> None:
    sealer = Sealer(Stock())

    first, second = (parse(sealer.seal(CASE, "citizen", EVENT, "text", "x" * 50)) for _ in range(2))

    assert first.nonce != second.nonce
    assert first.ciphertext != second.ciphertext


def test_only_so_many_parties_are_remembered_and_a_forgotten_one_gets_another_key() -> None:
    sealer = Sealer(Stock(), parties_remembered=2)
    first = parse(sealer.seal(b"1", "citizen", EVENT, "text", "x")).key_id

    for case in (b"2", b"3"):
        sealer.seal(case, "citizen", EVENT, "text", "x")

    assert parse(sealer.seal(b"1", "citizen", EVENT, "text", "x")).key_id != first


def test_a_known_party_is_sealed_for_even_when_no_key_is_left() -> None:
    sealer = Sealer(Stock(count=1))
    sealer.seal(CASE, "citizen", EVENT, "name", "x")

    sealer.seal(CASE, "citizen", EVENT, "text", "y")

    with pytest.raises(PoolEmpty):
        sealer.seal(CASE, "operator", EVENT, "name", "z")


@settings(max_examples=100)
@given(at=st.integers(min_value=0, max_value=10_000), bit=st.integers(min_value=0, max_value=7))
def test_a_changed_bit_anywhere_is_noticed(at: int, bit: int) -> None:
    stock = Stock()
    value = bytearray(Sealer(stock).seal(CASE, "citizen", EVENT, "text", "some words"))

    value[at % len(value)] ^= 1 << bit

    with pytest.raises((SealBroken, NotSealed)):
        unseal(stock.given[0].key, bytes(value))


@settings(max_examples=100)
@given(value=st.one_of(st.binary(max_size=120), st.binary(max_size=120).map(lambda b: b"\x01\x01" + b)))
def test_bytes_that_nobody_sealed_are_refused_by_name(value: bytes) -> None:
    with pytest.raises((SealBroken, NotSealed)):
        unseal(bytes(32), value)


@pytest.mark.parametrize(("event_id", "field"), [(b"short", "text"), (EVENT, "f" * 256)])
def test_an_origin_that_does_not_fit_the_layout_is_refused(event_id: bytes, field: str) -> None:
    with pytest.raises(ValueError, match="origin"):
        Sealer(Stock()).seal(CASE, "citizen", event_id, field, "x")
