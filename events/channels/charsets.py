"""Bytes of a letter to text, whatever its sender says of their charset.

Only charsets named here are used: Python knows codecs that are no charsets, and some of them take minutes for a few megabytes.
"""

_CYRILLIC = ("cp1251", "koi8_r", "cp866")
_FREQUENT = frozenset("оеаинтсрвлкмдпуя")  # what Russian and Tatar text is mostly made of; capitals tell koi8-r from cp1251
_SAMPLE_CHARS = 4_000
_CODECS = {
    **dict.fromkeys(("utf-8", "utf8", "unicode-1-1-utf-8"), "utf_8"),
    **dict.fromkeys(("windows-1251", "cp1251", "cp-1251", "win-1251", "x-cp1251", "1251"), "cp1251"),
    **dict.fromkeys(("koi8-r", "koi8r", "koi-8-r", "koi8"), "koi8_r"),
    **dict.fromkeys(("cp866", "ibm866", "dos-866"), "cp866"),
    **{f"iso-8859-{part}": f"iso8859_{part}" for part in (*range(1, 12), *range(13, 17))},
    **{f"windows-125{part}": f"cp125{part}" for part in (0, 2, 3, 4, 5, 6, 7, 8)},
    "koi8-u": "koi8_u",
    "x-mac-cyrillic": "mac_cyrillic",
    "latin1": "iso8859_1",
    "utf-16": "utf_16",
    "utf-16le": "utf_16_le",
    "utf-16be": "utf_16_be",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "big5": "big5",
    "shift_jis": "shift_jis",
    "iso-2022-jp": "iso2022_jp",
    "euc-jp": "euc_jp",
    "euc-kr": "euc_kr",
    "ks_c_5601-1987": "cp949",
}  # us-ascii is left out on purpose: 8-bit text that claims it is guessed


def decode(raw: bytes, declared: str = "") -> str:
    """Return `raw` as text without NUL characters and with plain line ends; what can't be read becomes U+FFFD."""
    codec = _CODECS.get(declared.strip().lower().strip("'\""))
    text = _decoded(raw, "utf_8") if codec is None else _decoded(raw, codec)
    if text is None and codec is not None:
        text = _decoded(raw, "utf_8") or raw.decode(codec, "replace")
    if text is None:
        text = max((raw.decode(each, "replace") for each in _CYRILLIC), key=_looks_russian)
    return text.replace("\0", "").replace("\ufeff", "").replace("\r\n", "\n").replace("\r", "\n")


def _decoded(raw: bytes, codec: str) -> str | None:
    try:
        return raw.decode(codec)
    except UnicodeDecodeError:
        return None


def _looks_russian(text: str) -> int:
    return sum(letter in _FREQUENT for letter in text[:_SAMPLE_CHARS])
