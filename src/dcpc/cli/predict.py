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
    """Predict the consensus, the label distribution, or every annotator's label; DATA needs no labels."""
    from rich.console import Console

    from dcpc.adapters import load_adapter
    from dcpc.data.readers import read_items
    from dcpc.data.writers import write_table
    from dcpc.prediction import predict_distribution

    if output.exists() and not force:
        raise UsageError("the output is there already.", where=output, fix="Name a new file, or add --force.")
    items = read_items(data, format=format, columns=options.parse_columns(columns))
    trained = load_adapter(adapter, trust_remote_code=trust_remote_code)
    if form is Form.annotators:
        table = _annotator_table(trained, items, batch_size)
    else:
        probabilities = predict_distribution(trained, items, batch_size=batch_size, progress=True)
        table = _item_table(
            items, trained.task.labels, probabilities, with_distribution=form is Form.distribution
        )
    write_table(table, output)
    Console(highlight=False).print(f"{len(table):,} predictions of {len(items):,} items are in {output}.")


def _item_table(
    items: pd.DataFrame, labels: list[str], probabilities: np.ndarray, *, with_distribution: bool
) -> pd.DataFrame:
    best = probabilities.argmax(axis=1)
    table = items[["item_id", "text"]].assign(label=[labels[code] for code in best])
    if with_distribution:
        return table.assign(**{f"p_{label}": probabilities[:, code] for code, label in enumerate(labels)})
    return table.assign(probability=probabilities.max(axis=1))


def _annotator_table(trained: TrainedAdapter, items: pd.DataFrame, batch_size: int) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    from dcpc.prediction import predict_annotators

    config = trained.model.active_peft_config
    known = list(getattr(config, "annotators", None) or [])
    n_rows = len(items) * len(known)
    if n_rows > LARGEST_CROSS:
        raise UsageError(
            f"{len(known):,} annotators on {len(items):,} items are {n_rows:,} predictions.",
            fix=f"Predict fewer items at a time: at most {LARGEST_CROSS // len(known):,}.",
        )
    codes = np.repeat(np.arange(len(items)), len(known))
    who = known * len(items)
    probabilities = predict_annotators(trained, items, codes, who, batch_size=batch_size, progress=True)
    labels = np.array(trained.task.labels, dtype=object)
    return pd.DataFrame(
        {
            "item_id": items["item_id"].to_numpy()[codes],
            "annotator_id": who,
            "label": labels[probabilities.argmax(axis=1)],
            "probability": probabilities.max(axis=1),
        }
    )
