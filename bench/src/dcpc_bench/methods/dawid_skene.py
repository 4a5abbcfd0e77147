"""Dawid-Skene (1979): the true label is hidden, every annotator has a confusion matrix; EM by crowd-kit."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dcpc.data.annotations import Annotations
from dcpc.errors import UsageError
from dcpc_bench.method import Method
from dcpc_bench.methods.parts.item_targets import toward


def dawid_skene(annotations: Annotations, *, n_iterations: int = 100) -> np.ndarray:
    """Posterior of the hidden true label per item, float [I, C], rows sum to 1.

        P(z_i = c | labels) ∝ π_c Π_{j of i} e^{a_j}(c, y_j)

    with the class shares π and the annotators' confusion matrices e^a estimated by EM. At one judgement per item
    nothing separates an annotator's errors from the class shares; it then says little more than the vote.

    Args:
        annotations: judgements with annotator ids.
        n_iterations: at most so many steps of EM.

    Raises:
        UsageError: judgements without annotator ids, or crowd-kit is not installed.
    """
    try:
        from crowdkit.aggregation import DawidSkene
    except ImportError as error:
        raise UsageError("Dawid-Skene needs crowd-kit", fix="pip install 'dcpc[crowd]'") from error
    if not annotations.has_annotators:
        raise UsageError(
            "Dawid-Skene needs to know who gave which label, and these annotations do not name annotators",
            where=annotations.source,
            fix="Name the column of the annotator ids.",
        )
    rows = pd.DataFrame(
        {
            "task": annotations.item_codes,
            "worker": annotations.annotator_codes,
            "label": annotations.label_codes,
        }
    )
    # crowd-kit leaves out labels that nobody gave.
    posterior = DawidSkene(n_iter=n_iterations).fit_predict_proba(rows)
    complete = posterior.reindex(
        index=range(annotations.n_items), columns=range(annotations.n_classes), fill_value=0.0
    )
    return complete.to_numpy(dtype=np.float64)


METHOD = Method(
    "dawid-skene",
    "Dawid, Skene 1979",
    "posterior of the true label",
    rule=toward(dawid_skene),
    needs_annotators=True,
)
