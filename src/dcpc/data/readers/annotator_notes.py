"""What a user should know of the annotators that were read: that none are named, or who may be two, or nobody."""

from __future__ import annotations

import pandas as pd

from dcpc.data.advice import columns_option, likely_annotators
from dcpc.data.raw import RawTable, count
from dcpc.data.scales import ABSENT


def annotator_notes(raw: RawTable) -> tuple[str, ...]:
    """What a user should know of who judged, one sentence each."""
    frame = raw.frame
    if "annotator_id" not in frame:
        return (f"There are no annotator ids: annotators cannot be told apart.{_who(frame)}",)
    unknown = int(frame["annotator_id"].isna().sum())
    notes: tuple[str, ...] = (f"{count(unknown, 'judgement')} without an annotator id.",) if unknown else ()
    if frame["annotator_id"].nunique() == 1:
        notes += ("There is only one annotator: disagreement between annotators cannot be seen.",)
    return notes + _spelling_note(frame["annotator_id"]) + _nobody_note(frame["annotator_id"])


def _nobody_note(annotators: pd.Series) -> tuple[str, ...]:
    """Ids that programs write where nobody is named: as one annotator they would be many persons."""
    found = annotators[annotators.isin(ABSENT)].value_counts()
    if found.empty:
        return ()
    which = ", ".join(f'"{name}" ({count(int(n), "judgement")})' for name, n in found.items())
    return (
        f"Kept as an annotator: {which}. If it means that nobody is named, leave these cells empty in the file.",
    )


def _who(frame: pd.DataFrame) -> str:
    """Which columns look like annotators' ids, as a question."""
    likely = likely_annotators(frame)
    if not likely:
        return ""
    named = " or ".join(f'"{name}"' for name in likely[:3])
    return f" Is it the column {named}? Then add {columns_option({'annotator_id': likely[0]})}."


def _spelling_note(annotators: pd.Series) -> tuple[str, ...]:
    """Annotators whose ids differ only in case are two persons; a note says so."""
    known = annotators.dropna().unique()
    folded: dict[str, str] = {}
    for name in known:
        other = folded.setdefault(str(name).casefold(), str(name))
        if other != name:
            return (f'The annotators "{other}" and "{name}" differ only in case and were kept apart.',)
    return ()
