"""Errors that a user can cause and mend: each says what is wrong, where, and what to do."""


class InputError(ValueError):
    """A wrong call, study file, data file or store; the message is complete without a traceback."""


class StoreError(InputError):
    """A record store that cannot be used: another study's, a newer schema's, locked, or damaged."""
