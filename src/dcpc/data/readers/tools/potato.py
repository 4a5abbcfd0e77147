"""Potato: an `annotation_output` folder, or one file of it, in any of the forms that it writes.

- `annotated_instances.jsonl` in a folder per annotator: `label_annotations` maps a scheme to its answers, as chosen
  label → "true", or a Likert scale's `scale_3` → "3". The annotator is the folder's name.
- `annotated_instances.csv` or `.tsv`: `user`, `instance_id`, `displayed_text`, and `scheme:::answer` columns.
- `user_state.json` in a folder per annotator (Potato 2): answers by instance, without the texts; these are taken from
  the project's data files, which its config names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from dcpc.data.raw import RawTable
from dcpc.data.readers.formats import Format, Peek
from dcpc.data.readers.long import read_table
from dcpc.data.readers.records import read_records
from dcpc.data.readers.rows import Rows, attributes, choose_question
from dcpc.data.readers.tools.nested import plain_text
from dcpc.errors import DataError

FILE = "annotated_instances.jsonl"
TABLES = ("annotated_instances.csv", "annotated_instances.tsv")
STATE = "user_state.json"
_ANSWERS = "instance_id_to_label_to_value"
_JOINED = ":::"
_TABLE = {"user", "instance_id"}


class Given(NamedTuple):
    """What one annotator gave to one instance: scheme → chosen answer → value, and where it stands."""

    annotator: object
    item: dict[str, Any]
    answers: Mapping[str, Any]
    own: Rows
    place: int
    record: Mapping[str, Any]


def read_potato(source: str, columns: Mapping[str, str]) -> RawTable:
    """Potato's `annotation_output` folder, or one file of it.

    Raises:
        DataError: if the folder has no such file, an instance is malformed, or the texts are not to be found.
    """
    path = Path(source)
    rows = Rows(source, "instance of all files")
    found = _found(path, source, rows)
    scheme = choose_question((name for given in found for name in given.answers), columns, rows)
    for number, given in enumerate(found, start=1):
        rows.record(number, lambda item=given.item: item, given.record)  # type: ignore[misc]
        answer = given.answers.get(scheme) if scheme else None
        rows.add(number, given.item, given.annotator, _label(answer, given.own, given.place))
    return rows.table()


def _found(path: Path, source: str, rows: Rows) -> list[Given]:
    if path.is_dir():
        for names, read in (((FILE,), _instances), ((STATE,), _states), (TABLES, _table)):
            files = sorted(file for name in names for file in path.rglob(name))
            if files:
                return [given for file in files for given in read(file, path, rows)]
        raise DataError(
            f"the folder has no {FILE}.", where=source, fix="Name Potato's annotation_output folder."
        )
    with path.open("rb") as file:
        is_json = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")
    if not is_json:
        return _table(path, path.parent, rows)
    first = next(iter(read_records(path, source).entries), (0, {}))[1]
    return (_states if _ANSWERS in first else _instances)(path, path.parent, rows)


def _instances(file: Path, root: Path, rows: Rows) -> list[Given]:
    """Lines of `annotated_instances.jsonl`."""
    own, found = Rows(str(file), "line"), []
    for place, instance in read_records(file, str(file)).entries:
        answers = instance.get("label_annotations")
        if not isinstance(answers, dict):
            raise own.error(
                place,
                "this is not an instance as Potato writes it (no `label_annotations`).",
                "Keep one format per folder.",
            )
        text = instance.get("displayed_text", instance.get("text"))
        more = attributes(instance, ("id", "displayed_text", "text"))
        item = {"item_id": instance.get("id"), "text": text, **more}
        found.append(Given(file.parent.name, item, answers, own, place, instance))
    return found


def _table(file: Path, root: Path, rows: Rows) -> list[Given]:
    """Rows of `annotated_instances.csv`; an empty cell is an answer that was not chosen."""
    table = read_table(str(file))
    own, found = Rows(str(file), table.unit), []
    for note in table.notes:
        rows.note(note)
    records = table.frame.astype(object).where(table.frame.notna(), None).to_dict("records")
    for place, record in zip(table.places.tolist(), records, strict=True):
        answers: dict[str, dict[str, Any]] = {}
        for name, value in record.items():
            scheme, joined, answer = str(name).partition(_JOINED)
            if joined:
                answers.setdefault(scheme, {})[answer] = value
        plain = {str(name): value for name, value in record.items() if _JOINED not in str(name)}
        whole = {str(name): value for name, value in record.items()}
        text = plain.get("displayed_text", plain.get("text"))
        more = attributes(plain, ("user", "instance_id", "displayed_text", "text"))
        item = {"item_id": plain.get("instance_id"), "text": text, **more}
        found.append(Given(plain.get("user"), item, answers, own, place, whole))
    return found


def _states(file: Path, root: Path, rows: Rows) -> list[Given]:
    """Answers of a `user_state.json`, with the texts of the project's data."""
    own, found = Rows(str(file), "instance"), []
    texts = _texts(root, str(root))
    for _, state in read_records(file, str(file)).entries:
        given = state.get(_ANSWERS)
        if not isinstance(given, dict):
            raise DataError(
                f"this is no state of an annotator as Potato writes it (no `{_ANSWERS}`).",
                where=file,
                fix="Keep one format per folder.",
            )
        annotator = state.get("user_id") or file.parent.name
        for place, (name, answers) in enumerate(given.items(), start=1):
            if name not in texts:
                raise own.error(
                    place,
                    f'the project\'s data files have no instance "{name}".',
                    "Name the project's folder, with the data files that were annotated.",
                )
            record = {"id": name, **texts[name]}
            found.append(
                Given(annotator, {"item_id": name, **texts[name]}, _by_scheme(answers), own, place, record)
            )
    return found


def _by_scheme(answers: object) -> dict[str, dict[str, Any]]:
    """Scheme → answer → value; of pairs `[{"schema": …, "name": …}, value]` the last one counts."""
    if isinstance(answers, dict):
        return {
            str(name): given if isinstance(given, dict) else {str(given): True}
            for name, given in answers.items()
        }
    found: dict[str, dict[str, Any]] = {}
    for pair in answers if isinstance(answers, list) else ():
        if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], dict):
            found.setdefault(str(pair[0].get("schema")), {})[str(pair[0].get("name"))] = pair[1]
    return found


def _texts(root: Path, source: str) -> dict[str, dict[str, Any]]:
    """Instance id → text and attributes, from the data files that a config beside or above the output names.

    Raises:
        DataError: if there is no such config, or one of its files.
    """
    for folder in (root, *root.resolve().parents[:3]):
        for config in sorted((*folder.glob("*.y*ml"), *folder.glob("configs/*.y*ml"))):
            if found := _texts_of(config, folder):
                return found
    raise DataError(
        f"{STATE} holds answers without the texts, and no config is there that names the data files.",
        where=source,
        fix="Name the project's folder, which holds config.yaml and the data files.",
    )


def _texts_of(config: Path, folder: Path) -> dict[str, dict[str, Any]]:
    import yaml  # comes with transformers

    try:
        settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return {}
    if not isinstance(settings, dict) or not settings.get("data_files"):
        return {}
    keys = settings.get("item_properties") or {}
    identity, text = str(keys.get("id_key", "id")), str(keys.get("text_key", "text"))
    found: dict[str, dict[str, Any]] = {}
    for name in settings["data_files"]:
        name = str(name.get("path") if isinstance(name, dict) else name)
        places = (config.parent / name, folder / name)
        data = next((place for place in places if place.is_file()), None)
        if data is None:
            raise DataError(
                f'the data file "{name}" is not there.', where=config, fix="Put it where the config says."
            )
        table = read_table(str(data))
        if not {identity, text} <= set(table.frame):
            raise DataError(
                f'there are no columns "{identity}" and "{text}", as the config says.',
                where=data,
                fix="Correct item_properties in the config.",
            )
        for cells in table.frame.to_dict("records"):
            record = {str(column): value for column, value in cells.items()}
            item = {"text": plain_text(record[text]), **attributes(record, (identity, text))}
            found[str(record[identity])] = item
    return found


def _label(given: object, rows: Rows, place: int) -> object:
    """The chosen labels of a scheme; of a Likert scale its number, of a text box what was written."""
    if given is None or isinstance(given, str):
        return given
    if not isinstance(given, dict):
        raise rows.error(place, "an answer is not as Potato writes it.", "Export the annotations again.")
    chosen = {
        str(name): value
        for name, value in given.items()
        if value not in (None, "", False) and str(value).lower() != "false"
    }
    own = {name for name in chosen if name.startswith("scale_") or name in ("text_box", "slider")}
    return [str(chosen[name]) if name in own else name for name in chosen]


def _recognises(peek: Peek) -> bool:
    if peek.kind == "folder":
        return any(PurePosixPath(name).name in (FILE, STATE, *TABLES) for name in peek.members)
    if peek.kind == "table":
        return set(peek.columns) >= _TABLE and any(_JOINED in name for name in peek.columns)
    return peek.kind == "json" and ("label_annotations" in peek.record or _ANSWERS in peek.record)


FORMAT = Format(read_potato, _recognises)
