"""What a clerk reads of a letter first: its plain text, or its HTML as text; and the language it seems to be in.

Everything is linear in the size of the text.
"""

import html
import re
from collections.abc import Sequence

from events.channels.charsets import decode
from events.channels.mail_parts import Leaf

_TATAR = frozenset("әөүҗңһӘӨҮҖҢҺ")
_FEWEST_TATAR = 2
_SAMPLE_CHARS = 20_000
_TAG_NAME = re.compile(r"/?[A-Za-z][A-Za-z0-9]*")
_BREAKS = frozenset(["p", "br", "div", "tr", "li", "ul", "ol", "table", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "hr", "pre"])
_UNSEEN = frozenset(["style", "script", "head", "title"])


def text_of(parts: Sequence[Leaf], limit_bytes: int) -> tuple[str, bool]:
    """Return the letter's own text, at most `limit_bytes` in UTF-8, and whether it was cut; a carried letter's if it has none."""
    for forwarded in (False, True):
        for media_type in ("text/plain", "text/html"):
            raw = [p for p in parts if p.forwarded is forwarded and p.media_type == media_type and not p.attached]
            text, cut = _joined(raw, media_type == "text/html", limit_bytes)
            if text:
                return text, cut
    return "", False


def _joined(parts: Sequence[Leaf], as_html: bool, limit_bytes: int) -> tuple[str, bool]:
    read_bytes = limit_bytes * 4  # no more is looked at: markup and wide charsets shrink at most so much in letters people write
    texts: list[str] = []
    left, cut = read_bytes, False
    for part in parts:
        cut = cut or len(part.content) > left
        text = decode(part.content[:left], part.charset)
        texts.append((html_to_text(text) if as_html else text).strip())
        left -= min(left, len(part.content))
    whole = "\n\n".join(text for text in texts if text).encode("utf-8", "replace")
    return whole[:limit_bytes].decode("utf-8", "ignore").strip(), cut or len(whole) > limit_bytes


def html_to_text(markup: str) -> str:
    """Return the words of an HTML page, a line for each block."""
    pieces: list[str] = []
    place = 0
    while (opened := markup.find("<", place)) >= 0:
        pieces.append(markup[place:opened])
        name = _TAG_NAME.match(markup, opened + 1)
        if markup.startswith("<!--", opened):
            place = _after(markup, "-->", opened)
        elif name is None and markup[opened + 1 : opened + 2] not in ("!", "?"):
            pieces.append("<")
            place = opened + 1
        else:
            place = _after(markup, ">", opened)
            word = name[0].lower() if name else ""
            pieces.append("\n" if word.lstrip("/") in _BREAKS else "")
            if word in _UNSEEN:
                place = _after_closing(markup, word, place)
    pieces.append(markup[place:])
    lines = (" ".join(line.split()) for line in html.unescape("".join(pieces)).replace("\0", "").split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _after(markup: str, mark: str, place: int) -> int:
    found = markup.find(mark, place)
    return found + len(mark) if found >= 0 else len(markup)


def _after_closing(markup: str, word: str, place: int) -> int:
    closing = re.compile(rf"</{word}\s*>", re.IGNORECASE).search(markup, place)
    return closing.end() if closing else len(markup)


def language_of(text: str) -> str:
    """Return tt, ru or en by the letters of `text`, empty when it has none."""
    sample = text[:_SAMPLE_CHARS]
    cyrillic = sum("Ѐ" <= letter <= "ԯ" for letter in sample)
    latin = sum(letter.isascii() and letter.isalpha() for letter in sample)
    if sum(letter in _TATAR for letter in sample) >= _FEWEST_TATAR:
        return "tt"
    if cyrillic and cyrillic * 2 >= latin:  # Russian letters quote addresses and names of services in Latin
        return "ru"
    return "en" if latin else ""
