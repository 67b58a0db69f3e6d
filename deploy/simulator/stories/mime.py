"""Writes letters byte by byte (RFC 5322, 2045-2047, 2231), so that the same words give the same bytes. Knows nothing of what they say."""

import base64
import quopri
from collections.abc import Sequence
from email.header import Header
from urllib.parse import quote

_BASE64_LINE = 76
_HEADER_LINE = 76


def entity(headers: Sequence[str], payload: bytes) -> bytes:
    """Return one part: its header lines, an empty line, its payload."""
    return "\r\n".join(headers).encode("ascii") + b"\r\n\r\n" + payload


def text_part(words: str, charset: str, encoding: str, subtype: str = "plain") -> bytes:
    """Return a part of text in `charset`, in base64, quoted-printable or 8bit."""
    return entity(_text_headers(charset, encoding, subtype), encoded(words.replace("\n", "\r\n").encode(charset), encoding))


def _text_headers(charset: str, encoding: str, subtype: str) -> list[str]:
    return [f'Content-Type: text/{subtype}; charset="{charset}"', f"Content-Transfer-Encoding: {encoding}"]


def file_part(name: str, media_type: str, content: bytes, disposition: str = "attachment") -> bytes:
    """Return a part with a file; a name beyond ASCII is written as RFC 2231 says."""
    written = f'filename="{name}"' if name.isascii() else f"filename*=UTF-8''{quote(name)}"
    headers = [f"Content-Type: {media_type}", "Content-Transfer-Encoding: base64", f"Content-Disposition: {disposition}; {written}"]
    return entity(headers, encoded(content, "base64"))


def multipart(subtype: str, boundary: str, parts: Sequence[bytes], parameters: str = "") -> bytes:
    """Return an entity of several parts."""
    edge = f"--{boundary}".encode()
    payload = b"".join(edge + b"\r\n" + part + b"\r\n" for part in parts) + edge + b"--\r\n"
    return entity([f'Content-Type: multipart/{subtype}; boundary="{boundary}"{parameters}'], payload)


def letter(headers: Sequence[str], body: bytes) -> bytes:
    """Return a whole letter: its own headers in front of those of its body."""
    return "\r\n".join((*headers, "MIME-Version: 1.0")).encode("ascii") + b"\r\n" + body


def words(said: str, charset: str) -> str:
    """Return words as they may stand in a header (RFC 2047)."""
    return said if said.isascii() else Header(said, charset, maxlinelen=_HEADER_LINE).encode(linesep="\r\n")


def mailbox(name: str, address: str, charset: str) -> str:
    """Return `Name <address>`, or the address alone."""
    if not name:
        return address
    return f'"{name}" <{address}>' if name.isascii() else f"{words(name, charset)} <{address}>"


def encoded(content: bytes, encoding: str) -> bytes:
    """Return content as it travels."""
    if encoding == "8bit":
        return content
    if encoding == "quoted-printable":
        return quopri.encodestring(content.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    whole = base64.b64encode(content)
    return b"\r\n".join(whole[at : at + _BASE64_LINE] for at in range(0, len(whole), _BASE64_LINE))
