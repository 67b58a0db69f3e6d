"""Reference data is checked as a whole when a process starts: what a clerk gets wrong is named, not met in the middle of a night."""

import shutil
from pathlib import Path

import pytest

from consumers.desk.numbers import Series, written
from events.numbers import MOST_DIGITS, is_number
from events.reference import RECORD_CLASSES, ReferenceInvalid, load

PACKAGED = Path(load.__code__.co_filename).parent / "service.toml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(PACKAGED, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("said", "instead", "complaint"),
    [
        ("digits = 6 ", "digits = 5 ", "numbers.digits"),
        ("digits = 6 ", "digits = 19 ", "numbers.digits"),
        ('default_prefix = "RU"', 'default_prefix = "R1"', "numbers.default_prefix"),
        ('complaint = "CMP"', 'complaint = "cmp-"', "numbers.prefix_of_kind.complaint"),
        ("letter = 3", "", r"missing \['letter'\], unknown \[\]"),
        ("letter = 3", "letters = 3", r"missing \['letter'\], unknown \['letters'\]"),
        ("letter = 3", "letter = 0", "floor_years.letter"),
        ('zone = "Europe/Moscow"', 'zone = "Europe/Nowhere"', "Nowhere"),
    ],
)
def test_what_is_wrong_is_named_when_the_data_is_loaded(folder: Path, said: str, instead: str, complaint: str) -> None:
    path = folder / "service.toml"
    text = path.read_text(encoding="utf-8")
    assert said in text
    path.write_text(text.replace(said, instead), encoding="utf-8")

    with pytest.raises(ReferenceInvalid, match=complaint):
        load(folder)


def test_every_class_of_records_has_a_floor() -> None:
    assert load().floor_years.keys() == RECORD_CLASSES


@pytest.mark.parametrize("digits", [load().numbers.digits, MOST_DIGITS])
def test_every_number_that_may_be_written_may_be_asked_for(digits: int) -> None:
    reference = load()
    prefixes = {reference.numbers.default_prefix, *reference.numbers.prefix_of_kind.values()}

    assert all(is_number(written(Series(prefix, 2025), sequence, digits)) for prefix in prefixes for sequence in (1, 10**17))


@pytest.mark.parametrize("text", ["", "RU-2025-00123", "ru-2025-001234", "RU-2025-001234\n", "RU-2025-٠٠١٢٣٤", "RU-2025-" + "1" * 19])
def test_what_no_desk_ever_writes_is_no_number(text: str) -> None:
    assert not is_number(text)
