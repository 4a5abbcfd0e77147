"""`--where`: which rows to keep, as a small expression over columns.

    trust >= 0.7 and country in ("DE", "AT")
    not `Input.rejected` == "yes"

Comparisons of a column with numbers and texts, joined by `and`, `or`, `not` and parentheses; nothing is called. A
name with other characters than letters, digits and `_` stands in backticks. `column == ""` means an empty cell.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable

import numpy as np
import pandas as pd

from dcpc.data.raw import RawTable, count
from dcpc.data.scales import as_text
from dcpc.errors import UsageError
from dcpc.names import did_you_mean, first_of

_COMPARE: dict[type, Callable] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_FLIPPED = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}
_BACKTICKS = re.compile(r"`([^`]+)`|(\"[^\"]*\"|'[^']*')")
_QUOTED_NAME = "quoted_column_"
Constant = str | float | bool | None


def where(raw: RawTable, expression: str) -> RawTable:
    """The rows for which the expression is true; a note counts the others.

    Raises:
        UsageError: if it is malformed, names no column, or keeps nothing.
    """
    try:
        keep = _Rows(raw, expression).mask()
    except RecursionError as error:
        raise _misuse(expression, "is nested too deeply") from error
    if not keep.any():
        raise UsageError(
            f"no row is left: `{expression}` is true for none of {count(len(keep), 'row')}.",
            where=raw.source,
            fix="Check the values that it compares with.",
        )
    left_out = int((~keep).sum())
    return raw.only(keep).with_notes(f"Left out: {count(left_out, 'row')} for which not: {expression}.")


class _Rows:
    """The rows that an expression selects."""

    def __init__(self, raw: RawTable, expression: str) -> None:
        self._raw, self._expression, self._names = raw, expression, list[str]()
        try:
            # A syntax tree is only read here, never run.
            self._tree = ast.parse(_BACKTICKS.sub(self._name, expression).strip(), mode="eval").body
        except (SyntaxError, ValueError, MemoryError) as error:
            raise _misuse(expression, "is malformed") from error

    def _name(self, found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0]  # a text, in which a backtick is one
        self._names.append(found[1])
        return f"{_QUOTED_NAME}{len(self._names) - 1}"

    def mask(self) -> np.ndarray:
        """Which of the J rows are kept, bool [J]."""
        return self._of(self._tree)

    def _of(self, node: ast.expr) -> np.ndarray:
        if isinstance(node, ast.BoolOp):
            parts = [self._of(value) for value in node.values]
            return (
                np.logical_and.reduce(parts) if isinstance(node.op, ast.And) else np.logical_or.reduce(parts)
            )
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ~self._of(node.operand)
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            parts = [self._compared(a, op, b) for a, op, b in zip(sides, node.ops, sides[1:], strict=False)]
            return np.logical_and.reduce(parts)
        raise _misuse(self._expression, "is not a comparison")

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> np.ndarray:
        if isinstance(left, ast.Constant) and isinstance(right, ast.Name):  # 0.7 <= trust
            left, op, right = right, _FLIPPED.get(type(op), type(op))(), left
        if not isinstance(left, ast.Name):
            raise _misuse(self._expression, "compares no column")
        column = self._column(left.id)
        if isinstance(op, ast.In | ast.NotIn):
            values = right.elts if isinstance(right, ast.Tuple | ast.List | ast.Set) else [right]
            found = np.logical_or.reduce([_equal(column, self._constant(value)) for value in values])
            return ~found if isinstance(op, ast.NotIn) else found
        constant = self._constant(right)
        if isinstance(op, ast.Eq | ast.NotEq):
            return _equal(column, constant) == isinstance(op, ast.Eq)
        if type(op) not in _COMPARE or isinstance(constant, bool | None):
            raise _misuse(self._expression, "has a comparison that is not known")
        if isinstance(constant, str):
            text = as_text(column).fillna("")
            return _COMPARE[type(op)](text, constant).to_numpy(dtype=bool) & (text != "").to_numpy(dtype=bool)
        return _COMPARE[type(op)](_numbers(column), constant)

    def _constant(self, node: ast.expr) -> Constant:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self._constant(node.operand)
            if isinstance(value, int | float) and not isinstance(value, bool):
                return -value
        if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | bool | None):
            return node.value
        if isinstance(node, ast.Name) and node.id.lower() in ("true", "false"):
            return node.id.lower() == "true"
        raise _misuse(self._expression, "compares with something that is no number or text in quotes")

    def _column(self, name: str) -> pd.Series:
        if name.startswith(_QUOTED_NAME):
            name = self._names[int(name.removeprefix(_QUOTED_NAME))]
        columns = {theirs: ours for ours, theirs in self._raw.renamed.items()}
        ours = name if name in self._raw.frame else columns.get(name)
        if ours is None or ours not in self._raw.frame:
            known = [self._raw.renamed.get(str(column), str(column)) for column in self._raw.frame.columns]
            raise UsageError(
                f'--where names no column: "{name}". {did_you_mean(name, known)}'.rstrip(),
                where=self._raw.source,
                fix=f"Columns are: {first_of([_written(column) for column in known], 12)}.",
            )
        return self._raw.frame[ours]


def _written(name: str) -> str:
    return name if name.isidentifier() else f"`{name}`"


def _numbers(column: pd.Series) -> np.ndarray:
    return pd.to_numeric(column.where(column.notna(), None), errors="coerce").to_numpy(dtype=float)


def _equal(column: pd.Series, constant: Constant) -> np.ndarray:
    text = as_text(column).fillna("")
    if constant is None or constant == "":
        return (text == "").to_numpy(dtype=bool)
    if isinstance(constant, bool):
        words = ("true", "1", "1.0") if constant else ("false", "0", "0.0")
        return text.str.lower().isin(words).to_numpy(dtype=bool)
    if isinstance(constant, str):
        return (text == constant.strip()).to_numpy(dtype=bool)
    return _numbers(column) == constant


def _misuse(expression: str, what: str) -> UsageError:
    return UsageError(
        f"`--where` {what}: {expression}",
        fix='Write it as trust >= 0.7 and country in ("DE", "AT"); a column with spaces stands in `backticks`.',
    )
