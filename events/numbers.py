"""The shape of a ticket's number, RU-2025-001234: one answer for whoever reads, checks or configures one (R320-R323).

Knows no counter and no register of prefixes.
"""

import re

FEWEST_DIGITS, MOST_DIGITS = 6, 18  # 18 are as many as a counter of 64 bits can always fill
PREFIX = r"[A-Z]{2,8}"
NUMBER = rf"{PREFIX}-[0-9]{{4}}-[0-9]{{{FEWEST_DIGITS},{MOST_DIGITS}}}"
_NUMBER = re.compile(NUMBER)


def is_number(text: str) -> bool:
    """Tell whether a ticket's number may look like `text`."""
    return _NUMBER.fullmatch(text) is not None
