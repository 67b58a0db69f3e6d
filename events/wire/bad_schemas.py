"""What whoever reads `schemas/` raises where it is not in order. Apart from its readers, so that naming it loads nothing."""


class BadSchemas(Exception):
    """The folder of schemas contradicts itself, at the file that is named; `hotline schemas check` tells everything that is wrong."""
