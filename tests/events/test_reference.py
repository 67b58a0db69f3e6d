"""Reference data is checked as a whole when a process starts: what a clerk gets wrong is named, not met in the middle of a night."""

from pathlib import Path

import pytest

from consumers.desk.numbers import Series, written
from events.numbers import MOST_DIGITS, is_number
from events.reference import RECORD_CLASSES, ReferenceInvalid, load
from tests.reference_data import changed


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
        ('zone = "Europe/Moscow"                  #', 'zone = "Europe/Nowhere" #', "service.toml: zone: .*Nowhere"),
        ('number = "+74957830000"', 'number = "8 495 783 00 00"', r"lines.1.number"),
        ('hours = "daily.09-21"', 'hours = "daily.9-21"', r"business.medium: daily.9-21"),
        ('code = "abroad.english"', 'code = "abroad.general"', r"given twice \['abroad.general'\]"),
        ('["09:00-21:00"]', '["09:00-25:00"]', r"calendars.toml: calendars.1.week.mon-sun: .*'25:00' is no time"),
        ('["09:00-21:00"]', '["21:00-09:00"]', "ends before it begins"),
        ('"14:00-18:00"]', '"12:30-18:00"]', r"calendars.toml: calendars.3.week.mon-fri: .*'12:30-18:00' overlaps what stands before it"),
        ('mon-fri = ["09', 'mon-fry = ["09', "'mon-fry' names no days"),
        ('mon-fri = ["09', 'fri = []\nmon-fri = ["09', "given twice for fri"),
        ('code = "office"', 'code = "always"', "calendar given twice: always"),
        ("year = 2025", "year = 2026", "not in 2026: 2025-01-04"),
        ("from = 2025-11-01", "from = 2025-11-05", "moved, though no weekend: 2025-11-05"),
        ("to = 2025-11-03", "to = 2025-11-02", "off instead, though a weekend: 2025-11-02"),
        ("from = 2026-01-04", "from = 2026-01-03", "moved twice: 2026-01-03"),
        ('"02-23"', '"02-30"', "'02-30' is no day of a year"),
    ],
)
def test_what_is_wrong_is_named_when_the_data_is_loaded(tmp_path: Path, said: str, instead: str, complaint: str) -> None:
    with pytest.raises(ReferenceInvalid, match=complaint):
        load(changed(tmp_path, (said, instead)))


def test_all_that_is_wrong_is_named_at_once_each_with_its_file(tmp_path: Path) -> None:
    changes = (("digits = 6 ", "digits = 5 "), ("json_bytes = 1_000_000", "json_bytes = 0"), ('["09:00-21:00"]', '["9-21"]'))

    with pytest.raises(ReferenceInvalid) as told:
        load(changed(tmp_path, *changes))

    where = [line.removeprefix(f"{tmp_path}/").split(": ")[:2] for line in str(told.value).splitlines()]
    assert sorted(where) == [
        ["calendars.toml", "calendars.1.week.mon-sun"],
        ["service.toml", "limits.json_bytes"],
        ["service.toml", "numbers.digits"],
    ]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    (changed(tmp_path) / "calendars.toml").unlink()

    with pytest.raises(ReferenceInvalid, match=r"calendars\.toml"):
        load(tmp_path)


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
