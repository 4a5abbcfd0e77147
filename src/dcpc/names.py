"""Names that users write, and the known ones that they may have meant."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches

from dcpc.errors import UsageError


def letters(name: str) -> str:
    """What two ways to write a name have in common: letters and digits, in small ones."""
    return "".join(c for c in name.casefold() if c.isalnum())


def first_of(names: Sequence[str], most: int) -> str:
    """The first `most` names of a list, and how many more there are."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown


def did_you_mean(name: str, known: Collection[str], *, most: int = 3, cutoff: float = 0.4) -> str:
    """`Did you mean a or b?` of the known names most like this one, the nearest first; empty where none is.

    Args:
        name: as the user wrote it.
        known: names; they are compared by their letters and digits.
        most: number of names to offer.
        cutoff: least likeness of 0 to 1, as `difflib` has it. A low one suits the few names that the message lists
            anyway; among hundreds it would always find something.
    """
    spelt = {letters(other): other for other in known}
    near = get_close_matches(letters(name), spelt, n=most, cutoff=cutoff)
    return f"Did you mean {' or '.join(spelt[other] for other in near)}?" if near else ""


def check_name(name: str, known: Collection[str], what: str) -> None:
    """Make sure that a name is known.

    Args:
        name: as the user wrote it.
        known: all names.
        what: they are names of, as `method`.

    Raises:
        UsageError: it is not; with the nearest ones.
    """
    if name not in known:
        raise UsageError(
            f'there is no {what} "{name}". {did_you_mean(name, known)}'.rstrip(),
            fix=f"Choose among: {', '.join(known)}.",
        )
