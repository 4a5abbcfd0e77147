"""Groups of annotators, to whose mean preference an annotator falls back whom training did not know.

For every group the adapter knows a stand-in, an id such as `age=young`: who is predicted under it is predicted as an
unknown member of the group.
"""

from __future__ import annotations

from collections.abc import Collection

from dcpc.data import Annotations
from dcpc.data.annotations import ITEM_COLUMNS
from dcpc.data.equality import same_ids
from dcpc.errors import UsageError


def annotator_groups(annotations: Annotations, column: str) -> dict[str, str]:
    """The group of every annotator that has one, and of the group's stand-in.

    Args:
        annotations: to train on.
        column: of their table; where an annotator has several groups, the first counts.

    Raises:
        UsageError: there is no such column, it says nothing of annotators, or judgements name none or only one.
    """
    if column in (*ITEM_COLUMNS, "item_id", "label", "split"):
        raise UsageError(
            f"the column `{column}` says nothing of annotators, so it cannot group them.",
            fix="Name a column such as their age or their team.",
        )
    if column not in annotations.table or not annotations.has_annotators:
        found = ", ".join(map(str, annotations.table.columns))
        raise UsageError(f"there is no group column `{column}`.", fix=f"Columns are: {found}.")
    if len(annotations.annotators) == 1:
        raise UsageError(
            "training sees a single annotator, whom nothing tells from the consensus: --group-column has no effect.",
            fix="Leave it out.",
        )
    rows = annotations.table[["annotator_id", column]].dropna().drop_duplicates("annotator_id")
    groups = [group_name(value) for value in rows[column]]
    if not groups:
        raise UsageError(f"the group column `{column}` is empty.", fix="Leave --group-column out.")
    stand_ins = {stand_in(column, group): group for group in groups}
    return {**stand_ins, **dict(zip(rows["annotator_id"], groups, strict=True))}


def known_or_stand_in(
    annotations: Annotations, column: str | None, known: Collection[str], *, exact: bool = False
) -> list[str]:
    """Whom to predict for each judgement: its annotator, or the stand-in of their group where training knew none.

    Args:
        annotations: with annotators.
        column: the group column that the adapter was trained with; None, or one that is not there, for no groups.
        known: annotators that the adapter knows.
        exact: an id is known only as it is written; else also in another spelling (see `dcpc.data.equality`).

    Returns:
        J ids.
    """
    ids = annotations.table["annotator_id"]
    # One file may have made 1.0 of what the other calls 1, beside words where neither is sure to be a number.
    spelt = {} if exact else same_ids(ids.dropna().unique(), set(known))
    ids = ids.replace(spelt) if spelt else ids
    if column is None or column not in annotations.table:
        return ids.tolist()
    names = annotations.table[column].map(
        lambda value: stand_in(column, group_name(value)), na_action="ignore"
    )
    return ids.where(ids.isin(list(known)) | names.isna(), names).tolist()


def stand_ins(annotations: Annotations, column: str | None) -> dict[str, str]:
    """Stand-in of the group of every annotator that has one; empty without the column.

    Args:
        annotations: with annotators.
        column: the group column that the adapter was trained with; None for no groups.
    """
    if column is None or column not in annotations.table:
        return {}
    rows = annotations.table[["annotator_id", column]].dropna().drop_duplicates("annotator_id")
    return {
        who: stand_in(column, group_name(value)) for who, value in rows.itertuples(index=False, name=None)
    }


def stand_in(column: str, group: str) -> str:
    """The id under which an unknown member of a group is predicted."""
    return f"{column}={group}"


def group_name(value: object) -> str:
    """A group as it is named: a column of whole numbers with a gap is read as 1.0, and without one as 1."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
