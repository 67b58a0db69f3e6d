"""How whoever acts is named in clear: by an id of letters, digits, '.', '_' and '-', on the log as in a token. The one rule for both.

Nobody can tell an id from a surname written in Latin letters: who gives out ids must see to that. A phone number, however it is written,
is no id.
"""

import re

LONGEST_ID_CHARS = 40
MOST_DIGITS_IN_A_ROW = 6  # the shortest phone number has more; '.', '_' and '-' between them don't count
ID_RULE = (
    f"1 to {LONGEST_ID_CHARS} of A-Z a-z 0-9 . _ -, at most {MOST_DIGITS_IN_A_ROW} digits in a row"
    " ('.', '_' and '-' between them don't count), and nobody's name"
)
_ID_LETTERS = re.compile(rf"[A-Za-z0-9._-]{{1,{LONGEST_ID_CHARS}}}", re.ASCII)
_PHONE = re.compile(rf"(?:[0-9][._-]*){{{MOST_DIGITS_IN_A_ROW + 1}}}", re.ASCII)


def is_actor_id(text: object) -> bool:
    """Say whether `text` can stand as an actor's id on the log."""
    return isinstance(text, str) and has_id_letters(text) and not looks_like_a_phone(text)


def has_id_letters(text: str) -> bool:
    """Say whether `text` has the length and the letters of an id."""
    return _ID_LETTERS.fullmatch(text) is not None


def looks_like_a_phone(text: str) -> bool:
    """Say whether more digits than an id may have stand in a row."""
    return _PHONE.search(text) is not None
