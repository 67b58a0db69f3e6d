"""The contact number in a letter's text (R86): Russian numbers, and international ones with their plus.

Careful rather than complete: a SNILS, an INN, an account or a ticket number must not pass for a phone. The hotline's own toll-free numbers
are quoted in many letters and are nobody's contact.
"""

import re

_SEARCHED_CHARS = 20_000
_CANDIDATE = re.compile(r"(?<![\w@/+№#-])(?<!\d[.,])(\+?\(?\d(?:[ \u00a0().–-]{0,3}\d){6,14})(?![\w@-]|[.,/]\d)", re.ASCII)
_SNILS = re.compile(r"\d{3}-\d{3}-\d{3}[ -]\d\d", re.ASCII)
_CUE = re.compile(r"(?:тел|моб|сот|phone|mobile|tel|whatsapp|telegram|звон|номер|шалт)[^\d+(]{0,20}$", re.IGNORECASE)
_RUSSIAN_DIGITS, _LOCAL_DIGITS = 11, 10
_INTERNATIONAL_DIGITS = range(8, 16)


def find_phone(text: str) -> str:
    """Return the first phone number of `text` as it is written there, empty when there is none; quoted lines don't count."""
    own = "\n".join(line for line in text[:_SEARCHED_CHARS].split("\n") if not line.lstrip().startswith(">"))
    for found in _CANDIDATE.finditer(own):
        written = found[1]
        if _is_phone(written, cued=_CUE.search(own, max(0, found.start() - 30), found.start()) is not None):
            return written
    return ""


def _is_phone(written: str, *, cued: bool) -> bool:
    digits = "".join(letter for letter in written if letter.isdigit())
    if _SNILS.fullmatch(written) or digits[:4] in ("8800", "7800"):
        return False
    if written.startswith("+") and not digits.startswith("7"):
        return len(digits) in _INTERNATIONAL_DIGITS
    if len(digits) == _RUSSIAN_DIGITS:
        return digits[0] in "78" and digits[1] in "3489"
    grouped = "(" in written
    return len(digits) == _LOCAL_DIGITS and digits[0] in "3489" and (cued or grouped)
