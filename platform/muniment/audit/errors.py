class AuditUnavailable(Exception):
    """The event could not be written, so what it would have recorded must not happen."""
