"""Slices: so many in a row hold every key exactly once, and a round of them fits into the window."""

import pytest

from consumers.drift.slices import BoundTooLow, Slice
from consumers.drift.watch import interval_s, next_slice
from events.reference import load
from events.wire.partitioning import BUCKETS, bucket_of

TERMS = load().drift
KEYS = [f"RU-2025-{n:06}".encode() for n in range(3_000)]


@pytest.mark.parametrize("slices", [1, 3, 4, 7])
def test_so_many_slices_in_a_row_hold_every_ticket_and_fit_into_the_window(slices: int) -> None:
    terms = TERMS.model_copy(update={"slices": slices})
    wanted = next_slice(None, terms)
    took, seconds = [wanted], interval_s(wanted, terms)
    for _ in range(slices - 1):
        wanted = next_slice((wanted, 10), terms)
        took.append(wanted)
        seconds += interval_s(wanted, terms)

    assert all(any(one.holds(key) for one in took) for key in KEYS)
    assert seconds < terms.window_s


def test_slices_become_narrower_when_they_hold_more_tickets_than_fit_and_go_on_where_they_were() -> None:
    before = Slice(60_000, BUCKETS // 4)

    after = next_slice((before, TERMS.tickets_per_pass), TERMS)

    assert after.start == (before.start + before.width) % BUCKETS
    assert after.width < before.width
    assert next_slice((before, 5), TERMS, narrow=2).width == BUCKETS // 8


def test_parts_of_a_slice_hold_what_it_holds_and_nothing_twice() -> None:
    whole = Slice(65_000, 5_001)

    parts = whole.parts(3)

    assert [sum(part.holds(key) for part in parts) for key in KEYS] == [int(whole.holds(key)) for key in KEYS]
    assert sum(part.width for part in parts) == whole.width
    assert len(Slice(0, 1).parts(2)) == 1


def test_halves_hold_what_the_slice_holds_and_one_bucket_or_one_key_has_none() -> None:
    whole = Slice(65_000, 5_001)

    assert whole.halves() == whole.parts(2)
    for least in (Slice(7, 1), Slice(only=KEYS[7])):
        with pytest.raises(BoundTooLow, match="tickets_per_pass"):
            least.halves()


def test_one_key_alone_is_a_slice_too() -> None:
    only = Slice(only=KEYS[7])

    assert [key for key in KEYS if only.holds(key)] == [KEYS[7]]
    assert 0 <= bucket_of(KEYS[7]) < BUCKETS
