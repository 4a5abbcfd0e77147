"""Errors say what is wrong, where, and how to mend it; their exit codes are the command line's."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcpc.errors import DataError, DCPCError, ModelError, TrainingError, UsageError


def test_the_message_is_where_what_and_fix():
    error = DataError("the label is empty.", where='a.csv, row 17, column "label"', fix="Fill it in.")
    assert str(error) == 'a.csv, row 17, column "label": the label is empty.\n  Fill it in.'
    assert (error.what, error.where, error.fix) == (
        "the label is empty.",
        'a.csv, row 17, column "label"',
        "Fill it in.",
    )


def test_place_and_fix_may_be_missing():
    assert str(DataError("the label is empty.")) == "the label is empty."
    assert str(DataError("the label is empty.", where=Path("a.csv"))) == "a.csv: the label is empty."
    assert str(DataError("the label is empty.", fix="Fill it in.")) == "the label is empty.\n  Fill it in."


@pytest.mark.parametrize(
    ("kind", "code"), [(DataError, 1), (ModelError, 1), (TrainingError, 1), (UsageError, 2)]
)
def test_exit_codes(kind, code):
    assert kind("something.").exit_code == code
    assert issubclass(kind, DCPCError)
