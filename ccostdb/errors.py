"""What can go wrong for a user: one sentence and a hint each. All else is a bug and keeps its traceback."""


class CcostError(Exception):
    """An error that a person can mend: `message` says what was expected and what came, `hint` what to do."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadSettings(CcostError):
    """A setting is unknown or has a value that cannot be used."""


class BadArgument(CcostError):
    """An argument of a command is well formed but means nothing here (an unknown zone, view, date)."""


class SourceUnavailable(CcostError):
    """A source that was asked for by name is not there."""


class NotOurs(CcostError):
    """The file is not a ccostdb ledger."""


class SchemaTooNew(CcostError):
    """The ledger was written by a newer ccostdb."""


class StoreBusy(CcostError):
    """Another process writes this ledger."""


class UnknownModel(CcostError):
    """No price is known for a model."""


class Rejected(Exception):
    """A frame or element that could not be understood; becomes a row of `rejected`."""

    def __init__(self, reason: str, excerpt: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.excerpt = excerpt
