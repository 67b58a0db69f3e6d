"""The table of contents of the read models. Adding one is a file in this folder and a line here."""

from events.reference import Reference, load
from projectors.audit_log import AUDIT_LOG
from projectors.contacts import CONTACTS
from projectors.model import ReadModel
from projectors.outcomes import OUTCOMES_MODEL
from projectors.retention import RetentionModel
from projectors.ticket_status import TICKET_STATUS
from projectors.ticket_versions import TICKET_VERSIONS


def projections(reference: Reference) -> tuple[ReadModel, ...]:
    """Return all read models, those with terms under `reference`."""
    return (TICKET_STATUS, TICKET_VERSIONS, AUDIT_LOG, RetentionModel(reference), CONTACTS, OUTCOMES_MODEL)


PROJECTIONS: tuple[ReadModel, ...] = projections(load())
