"""What is wrong with text that is nearly JSON, in words: comments, single quotes, bare names, a file cut off."""

from __future__ import annotations

import ast
import json
import re
import shlex

from dcpc.errors import DataError

_AGAIN = "Export the file again, or correct this line."
_BEFORE = re.compile(
    r"""(?P<comments>(?:\s*(?://[^\n]*\n|/\*.*?\*/|\#[^\n]*\n))+)\s*[\[{]
    |\s*(?P<name>(?:(?:var|let|const)\s+)?[\w$][\w.$]*\s*=|export\s+default)\s*[\[{]""",
    re.S | re.X,
)
"""What stands before the first bracket of files that are written for a program, not for others to read."""
_PYTHON = ("True", "False", "None")


def refuse_what_stands_before(head: str, source: str) -> None:
    """Raise where the start of a file is that of JSON but for comments, or the name that a script gives it.

    Args:
        head: the first characters of the file.
        source: as the user named it.

    Raises:
        DataError: it is.
    """
    found = _BEFORE.match(head)
    if found is None:
        return
    lines = found[0].count("\n")
    if name := found["name"]:
        what, fix = (
            f"this is a script, `{name}` …, and no JSON alone",
            f"Remove `{name}`, and a `;` at the end.",
        )
    else:
        what, fix = "comments stand before the data, and JSON has none", "Remove them."
    if lines and found[0].rpartition("\n")[2].strip() in ("[", "{"):
        fix = f"{fix[:-1]}: tail -n +{lines + 1} {shlex.quote(source)} > clean.json" if not name else fix
    raise DataError(f"{what}.", where=f"{source}, line 1", fix=fix)


def malformed(text: str, error: json.JSONDecodeError, source: str, line: int) -> DataError:
    """The error for text that is no JSON.

    Args:
        text: it, a whole document or one line.
        error: what Python found.
        source: as the user named the file.
        line: of the file on which the text starts.
    """
    what, fix = _told(text, error, source)
    return DataError(
        f"malformed JSON: {what}.", where=f"{source}, line {line + error.lineno - 1}", fix=fix or _AGAIN
    )


def _told(text: str, error: json.JSONDecodeError, source: str) -> tuple[str, str | None]:
    at, rest = f"at column {error.colno}", text[error.pos :].lstrip()
    word = re.match(r"[\w$]*", rest)[0]  # type: ignore[index]
    if rest.startswith(("//", "/*", "#")):
        return f"a comment {at}, and JSON has none", "Remove the comments."
    if rest.startswith("'") or word in _PYTHON:
        sign = "single quotes" if rest.startswith("'") else f"the word {word}"
        return f"{sign} {at}, as Python writes its own values", _from_python(text, source)
    if error.msg.startswith("Unterminated string") or not rest:
        return f"it ends in the middle, {at}: a part is missing", "Export or download the file again."
    if error.msg.startswith("Invalid control character"):
        return (
            f"a line break or tab within a text {at}",
            "Export the file again; in JSON they are written \\n and \\t.",
        )
    if error.msg.startswith("Extra data"):
        return f"another value follows the first {at}", "Write one object per line, or one array of them all."
    if word and error.msg.startswith("Expecting property name"):
        return (
            f"the name {word} {at} stands without double quotes",
            f'Write it as "{word}", and all others so.',
        )
    if word and error.msg.startswith("Expecting value"):
        return f"{word} {at} is no value of JSON", f'Write null for what is missing, and texts as "{word}".'
    return f"{error.msg} {at}", None


def _from_python(text: str, source: str) -> str:
    """A command that writes Python's values as JSON, where they are such."""
    try:
        ast.literal_eval(text.strip().rstrip(","))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return 'Write texts in "double quotes", true, false and null.'
    script = "import ast, json, sys; [print(json.dumps(ast.literal_eval(each))) for each in {each}]"
    lines = "\n" not in text.strip() and source.lower().endswith((".jsonl", ".ndjson"))
    each = "sys.stdin if each.strip()" if lines else "[sys.stdin.read().strip()]"
    name = "clean.jsonl" if lines else "clean.json"
    return f"Write it as JSON: python -c {shlex.quote(script.format(each=each))} < {shlex.quote(source)} > {name}"
