"""The same judgements in the form that another tool takes: what `dcpc convert` writes."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from dcpc.data.annotations import ITEM_COLUMNS, Annotations
from dcpc.data.writers import check_table_output, write_argilla, write_crowdkit, write_long
from dcpc.errors import UsageError
from dcpc.files import atomic_file, check_output_file

FORMS = ("long", "crowd-kit", "trl", "argilla", "huggingface")


def form_of(path: Path) -> str:
    """The form that a file's name asks for: `.json` is Argilla's, no ending a Hugging Face data set, else long."""
    return {".json": "argilla", "": "huggingface"}.get(path.suffix.lower(), "long")


def check_conversion(path: Path, form: str, *, force: bool = False) -> None:
    """Refuse, before any work is done, a form that there is not, or a place that cannot be written to.

    Raises:
        UsageError: naming the forms, the ending, or what is there already.
    """
    if form not in FORMS:
        raise UsageError(f'"{form}" is not a form to convert to.', fix=f"Forms: {', '.join(FORMS)}.")
    if form == "huggingface":
        if path.exists():
            raise UsageError(
                "is there already; a new folder is needed.", where=path, fix="Name a new folder."
            )
        check_output_file(path)
    elif form == "argilla" or (form == "trl" and path.suffix.lower() != ".parquet"):
        wanted = ".json" if form == "argilla" else ".jsonl"
        if path.suffix.lower() != wanted:
            raise UsageError(f"{form} takes {wanted} files.", where=path, fix=f"Name it {path.stem}{wanted}.")
        check_output_file(path, force=force)
    else:
        check_table_output(path, force=force)


def convert(annotations: Annotations, path: Path, form: str | None = None) -> tuple[str, ...]:
    """Write judgements in another form.

    Args:
        annotations: from any reader.
        path: file, or for `huggingface` a new folder; it appears whole or not at all.
        form: one of `FORMS`; None takes the one that the name asks for.

    Returns:
        Notes on what the form cannot hold, one sentence each.

    Raises:
        UsageError: as `check_conversion`, or if the form needs what the judgements lack.
    """
    form = form or form_of(path)
    check_conversion(path, form, force=True)
    if form == "trl":
        if annotations.weights is not None:
            raise UsageError(
                "TRL's forms hold one label a row, and these data have shares of labels.",
                where=annotations.source,
                fix="Write the long table: name a .csv file.",
            )
        return _write_trl(annotations, path)
    write: Callable[[Annotations, Path], Path] = {
        "long": write_long,
        "crowd-kit": write_crowdkit,
        "argilla": write_argilla,
        "huggingface": _write_huggingface,
    }[form]
    write(annotations, path)
    return ()


def trl_rows(annotations: Annotations) -> pd.DataFrame:
    """TRL's form: `prompt`, `chosen`, `rejected` of preferences, else `prompt` and `completion`, the label.

    Who judged, and which item, go along as `annotator_id` and `item_id`. Ties have no place in the preference form
    and are left out.
    """
    table = annotations.table
    prompt = {"prompt": table["text"]} if "text" in table else {}
    kept = {name: table[name] for name in ("item_id", "annotator_id", "split") if name in table}
    if annotations.scale != "preference":
        texts = table[[name for name in ITEM_COLUMNS if name in table]]
        joined = texts.agg("\n".join, axis=1) if texts.shape[1] > 1 else texts.iloc[:, 0]
        return pd.DataFrame({"prompt": joined, "completion": table["label"], **kept})
    first = table["label"] == "a"
    chosen = table["response_a"].where(first, table["response_b"])
    rejected = table["response_b"].where(first, table["response_a"])
    rows = pd.DataFrame({**prompt, "chosen": chosen, "rejected": rejected, **kept})
    return rows[table["label"] != "tie"].reset_index(drop=True)


def _write_trl(annotations: Annotations, path: Path) -> tuple[str, ...]:
    rows = trl_rows(annotations)
    with atomic_file(path) as temporary:
        if path.suffix.lower() == ".parquet":
            rows.to_parquet(temporary, index=False)
        else:
            with temporary.open("w", encoding="utf-8") as file:
                for row in rows.to_dict("records"):
                    known = {name: value for name, value in row.items() if not pd.isna(value)}
                    file.write(json.dumps(known, ensure_ascii=False) + "\n")
    ties = annotations.n_judgements - len(rows)
    return (f"{ties:,} ties left out: TRL's preference form has no place for them.",) if ties else ()


def _write_huggingface(annotations: Annotations, path: Path) -> Path:
    import datasets

    datasets.disable_progress_bars()
    data = datasets.Dataset.from_pandas(annotations.table, preserve_index=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        data.save_to_disk(str(temporary / "data"))
        (temporary / "data").rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path
