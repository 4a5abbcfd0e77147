"""WebAnno TSV of INCEpTION and WebAnno: annotations of tokens and spans, which are no labels of a text."""

from __future__ import annotations

from collections.abc import Mapping

from dcpc.data.raw import RawTable
from dcpc.data.readers.formats import Format, Peek
from dcpc.errors import DataError


def read_webanno(source: str, columns: Mapping[str, str]) -> RawTable:
    """Refuse WebAnno TSV by name.

    Raises:
        DataError: always.
    """
    raise DataError(
        "this is WebAnno TSV of INCEpTION: it labels tokens and spans within a text, not whole texts.",
        where=source,
        fix="Write a table with one row per judgement of a whole text: text, annotator_id, label.",
    )


def _recognises(peek: Peek) -> bool:
    return peek.kind == "table" and peek.text.startswith("#FORMAT=WebAnno")


FORMAT = Format(read_webanno, _recognises)
