"""How data are to be read: what the reading options of all commands, and of `read_annotations`, say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from dcpc.data.annotations import Scale
from dcpc.data.marks import MARKS
from dcpc.errors import UsageError
from dcpc.names import check_name

Repeats = Literal["latest", "first", "all", "refuse"]
"""Which of several judgements of one item by one annotator count."""


@dataclass(frozen=True)
class Reading:
    """The choices of a user about how data are read.

    Attributes:
        scale: nominal, ordinal or preference; None tells it from the labels.
        labels: the whole label set in its order; None collects it.
        range: lowest and highest value of a slider; the labels are then its steps, whether they occur or not. With
            `labels` those are the steps.
        exact: leave ids, labels and texts as they are written, even where they differ only in that.
        repeats: which judgements count where an annotator judged an item more than once; the latest by a column with
            times, else by the order of the rows.
        where: keep only the rows for which this is true, as `trust >= 0.7 and country in ("DE", "AT")`.
        leave_out: rows to leave out that a crowd platform has marked: `rejected`, `golden`, `tainted`.
        min_trust: leave out rows of workers whose trust score is lower.
        ignore_labels: labels that are no judgement, as `idk`; their rows are left out.
        skip_blank: leave out rows whose text is blank, instead of refusing the file.
    """

    scale: Scale | None = None
    labels: Sequence[str] | None = None
    range: tuple[float, float] | None = None
    exact: bool = False
    repeats: Repeats = "latest"
    where: str | None = None
    leave_out: Sequence[str] = ()
    min_trust: float | None = None
    ignore_labels: Sequence[str] = ()
    skip_blank: bool = False

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            UsageError: for an unknown word, or options that contradict each other.
        """
        if self.scale is not None:
            check_name(self.scale, get_args(Scale), "scale")
        check_name(self.repeats, get_args(Repeats), "way with repeats")
        for mark in self.leave_out:
            check_name(mark, MARKS, "mark to leave out")
        if self.range is not None:
            self._check_range()

    def _check_range(self) -> None:
        assert self.range is not None
        low, high = self.range
        if not (-1e15 < low < high < 1e15):
            raise UsageError(
                f"a range goes from a lower to a higher number; found {low:g} and {high:g}.",
                fix="For example --range 0 100.",
            )
        if self.scale not in (None, "ordinal"):
            raise UsageError("--range declares an ordinal scale.", fix="Leave --scale out.")
