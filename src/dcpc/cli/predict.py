"""`dcpc predict`: labels, distributions or single annotators' labels for new items."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcpc.cli import options
from dcpc.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from dcpc.adapters import TrainedAdapter
    from dcpc.data.readers import ItemRows

LARGEST_CROSS = 5_000_000
"""Rows above which predicting every annotator on every item is refused."""


class Form(StrEnum):
    """What to predict."""

    consensus = "consensus"
    distribution = "distribution"
    annotators = "annotators"


def command(
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="Folder that `dcpc train` wrote.")],
    data: options.Data,
    output: Annotated[Path, typer.Option(help="File to write: .csv, .tsv, .jsonl or .parquet.")],
    form: Annotated[Form, typer.Option("--as", help="What to predict.")] = Form.consensus,
    columns: options.Columns = None,
    format: options.Format = None,
    batch_size: options.BatchSize = 64,
    force: options.Force = False,
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Predict the consensus, the label distribution, or every annotator's label; DATA needs no labels.

    One result per item where DATA has item ids, else one per row, in the order of the rows.
    """
    from rich.console import Console
    from rich.markup import escape

    from dcpc.adapters import load_adapter
    from dcpc.data.readers import read_item_rows
    from dcpc.data.writers import check_table_output, write_table
    from dcpc.prediction import predict_distribution

    check_table_output(output, force=force)
    rows = read_item_rows(data, format=format, columns=options.parse_columns(columns))
    options.show_notes(rows.notes)
    trained = load_adapter(adapter, trust_remote_code=trust_remote_code)
    if form is Form.annotators:
        table = _annotator_table(trained, rows, batch_size)
    else:
        probabilities = predict_distribution(trained, rows.items, batch_size=batch_size, progress=True)
        table = _item_table(
            rows, trained.task.labels, probabilities, with_distribution=form is Form.distribution
        )
    write_table(table, output)
    of = f"{len(rows.items):,} items" if rows.has_ids else f"{len(rows.codes):,} rows"
    said = f"{len(table):,} predictions of {of} are in {output}."
    Console(highlight=False).print(escape(said), soft_wrap=True)


def _answered(rows: ItemRows) -> tuple[pd.DataFrame, np.ndarray]:
    """What tells the output's rows apart, one line per answer, and the position of each one's item, int [R].

    An item with an id has one answer; without ids every row of the data has one, with its number in `row`.
    """
    import numpy as np

    from dcpc.data.annotations import ITEM_COLUMNS

    names = [name for name in ("item_id", *ITEM_COLUMNS) if name in rows.items]
    if rows.has_ids:
        return rows.items[names], np.arange(len(rows.items))
    table = rows.items[names].iloc[rows.codes].reset_index(drop=True)
    table.insert(0, "row", rows.places)
    return table, rows.codes


def _item_table(
    rows: ItemRows, labels: list[str], probabilities: np.ndarray, *, with_distribution: bool
) -> pd.DataFrame:
    table, item = _answered(rows)
    probabilities = probabilities[item]
    table = table.assign(label=[labels[code] for code in probabilities.argmax(axis=1)])
    if with_distribution:
        return table.assign(**{f"p_{label}": probabilities[:, code] for code, label in enumerate(labels)})
    return table.assign(probability=probabilities.max(axis=1))


def _annotator_table(trained: TrainedAdapter, rows: ItemRows, batch_size: int) -> pd.DataFrame:
    import numpy as np

    from dcpc.prediction import predict_annotators

    config = trained.model.active_peft_config
    known = list(getattr(config, "annotators", None) or [])
    table, item = _answered(rows)
    n_rows = len(table) * len(known)
    if n_rows > LARGEST_CROSS:
        raise UsageError(
            f"{len(known):,} annotators on {len(table):,} items are {n_rows:,} predictions.",
            fix=f"Predict fewer items at a time: at most {LARGEST_CROSS // len(known):,}.",
        )
    codes, who = np.repeat(np.arange(len(rows.items)), len(known)), known * len(rows.items)
    probabilities = predict_annotators(trained, rows.items, codes, who, batch_size=batch_size, progress=True)
    own = probabilities.reshape(len(rows.items), len(known), -1)[item].reshape(n_rows, -1)  # [R·A, C]
    labels = np.array(trained.task.labels, dtype=object)
    table = table.iloc[np.repeat(np.arange(len(table)), len(known))].reset_index(drop=True)
    return table.assign(
        annotator_id=known * len(item), label=labels[own.argmax(axis=1)], probability=own.max(axis=1)
    )
