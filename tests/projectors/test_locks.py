"""Advisory locks are told apart by their numbers alone, and these stand in many files."""

import re
from collections import Counter

from tests.test_house_rules import FILES

_NUMBER = re.compile(r"^_\w+ = (4_717_\d+)\b", re.MULTILINE)


def test_no_two_kinds_of_work_wait_for_each_other_under_one_lock_number() -> None:
    numbers = Counter(number for path in FILES for number in _NUMBER.findall(path.read_text(encoding="utf-8")))

    assert [number for number, times in numbers.items() if times > 1] == []
    assert len(numbers) > 6
