"""Errors that a user can mend: each says what is wrong, where, and what to do."""

from __future__ import annotations

from pathlib import Path


class DCPCError(Exception):
    """Base of every error that the command line shows as one message, without a traceback.

    Args:
        what: one sentence: what was found and what was expected.
        where: the file, with row and column where there is one (`reviews.csv, row 17, column "label"`).
        fix: one sentence: what the user can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | Path | None = None, fix: str | None = None) -> None:
        self.what, self.where, self.fix = what, None if where is None else str(where), fix
        message = f"{self.where}: {what}" if self.where else what
        super().__init__(f"{message}\n  {fix}" if fix else message)


class DataError(DCPCError):
    """The user's data cannot be used as it is."""


class LabelError(DataError):
    """A label that is not in the set that was declared."""


class ModelError(DCPCError):
    """The base model or adapter cannot be loaded or is not supported."""


class TrainingError(DCPCError):
    """Training had to stop."""


class OutputError(DCPCError):
    """The disk took no more while an output was written; nothing of it is left."""


class ClusterError(DCPCError):
    """Processes of a cluster ended, or cannot do their part."""


class UsageError(DCPCError):
    """The command or function was called with arguments that do not fit together."""

    exit_code = 2
