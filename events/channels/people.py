"""What a citizen brings, on its way into a fact: words are sealed at once, files go sealed into the store."""

from dataclasses import dataclass

from events.channels.channel import CITIZEN, Intake, Rejected
from events.channels.words import Content, Format, MediaType, Name
from events.envelope import StoredFile

FEWEST_PHONE_DIGITS = 3  # "anonymous" and "unknown" are what an exchange says of a withheld number
UNKNOWN_MEDIA_TYPE = "application/octet-stream"
# Only these words of a file's type may stand in clear: a sender writes there whatever he likes.
MEDIA_TYPES = (
    "application/gzip",
    "application/json",
    "application/msword",
    "application/octet-stream",
    "application/pdf",
    "application/pgp-signature",
    "application/pkcs7-mime",
    "application/pkcs7-signature",
    "application/rtf",
    "application/vnd.ms-excel",
    "application/vnd.ms-powerpoint",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/vnd.oasis.opendocument.text",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.rar",
    "application/x-7z-compressed",
    "application/x-pkcs7-signature",
    "application/x-rar-compressed",
    "application/xml",
    "application/zip",
    *("audio/aac", "audio/amr", "audio/mp4", "audio/mpeg", "audio/ogg", "audio/opus", "audio/wav", "audio/webm", "audio/x-wav"),
    *("image/avif", "image/bmp", "image/gif", "image/heic", "image/heif", "image/jpeg", "image/png", "image/svg+xml"),
    *("image/tiff", "image/webp"),
    *("message/delivery-status", "message/disposition-notification", "message/rfc822"),
    *("text/calendar", "text/csv", "text/html", "text/markdown", "text/plain", "text/rtf", "text/vcard", "text/xml"),
    *("video/mp4", "video/mpeg", "video/quicktime", "video/webm"),
)


class FileSent(Format):
    """A file inside a message."""

    content_base64: Content
    media_type: MediaType = ""  # another than the common ones is kept as application/octet-stream
    name: Name = ""


@dataclass(frozen=True, slots=True)
class Sealing:
    """Seals what one input brings: under the keys of its contact, for its event."""

    intake: Intake
    contact_id: bytes
    event_id: bytes

    def needed(self, field: str, clear: str, party: str = CITIZEN) -> bytes:
        """Return `clear` sealed; Rejected when it is longer than an event may hold. Only for what is never blank, others take `words`."""
        raw = clear.encode()
        limit = self.intake.limits.text_in_event_bytes
        if len(raw) > limit:
            raise Rejected(field, "too_long", f"at most {limit} bytes in UTF-8")
        return self.intake.sealer.seal(self.contact_id, party, self.event_id, field, raw)

    def words(self, field: str, clear: str, party: str = CITIZEN) -> bytes | None:
        """Return `clear` sealed, or None when nothing is said in it."""
        return self.needed(field, clear, party) if clear.strip() else None

    def file(self, place: int, content: bytes) -> bytes:
        """Seal `content` into the store as the event's file number `place`; return the digest that names it."""
        sealed = self.intake.sealer.seal(self.contact_id, CITIZEN, self.event_id, f"file:{place}", content)
        return self.intake.files.put(sealed)

    def stored(self, place: int, content: bytes, media_type: str, name: str) -> StoredFile:
        """Seal a file and its name; return what the event says of it."""
        return StoredFile(
            digest=self.file(place, content),
            size_bytes=len(content),
            media_type=known_media_type(media_type),
            name=self.words(f"file_name:{place}", name),
        )

    def files(self, sent: list[FileSent]) -> tuple[StoredFile, ...]:
        """Seal all files of a message."""
        return tuple(self.stored(place, one.content_base64, one.media_type, one.name) for place, one in enumerate(sent, 1))


def known_media_type(told: str) -> str:
    """Return the media type if it is a common one, else the one that says nothing."""
    plain = told.partition(";")[0].strip().lower()
    return plain if plain in MEDIA_TYPES else UNKNOWN_MEDIA_TYPE


def told_phone(phone: str) -> str:
    """Return a phone number as it was told, or nothing when it is withheld."""
    return phone if sum(letter.isdigit() for letter in phone) >= FEWEST_PHONE_DIGITS else ""
