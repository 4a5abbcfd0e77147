"""What the demo trains and tests on: reviews, one simulated judgement each, and clean test labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dcpc.data.annotations import Annotations
from dcpc_bench.demo.annotators import PreferenceGroups
from dcpc_bench.demo.grammar import Review, generate_reviews
from dcpc_bench.shifts import CleanItems, simulate

LABELS = ("negative", "positive")
ANNOTATORS_PER_GROUP = 4
TEST_ITEMS = 400


@dataclass(frozen=True)
class DemoData:
    """One world: its reviews and its annotators. Seeds differ in who judged what, and how.

    Attributes:
        train_items: reviews to be judged, with their clean labels (which no method sees).
        test: `item_id`, `text`, `strength`, `clean_label`; no review of the training items is among them.
        pool: the annotators.
    """

    train_items: CleanItems
    test: pd.DataFrame
    pool: PreferenceGroups

    @classmethod
    def generate(cls, items: int, seed: int, *, test_items: int = TEST_ITEMS) -> DemoData:
        """`items` training reviews, `test_items` others and twelve annotators."""
        reviews = generate_reviews(items + test_items, seed)
        order = np.random.default_rng(seed).permutation(len(reviews))
        shuffled = [reviews[i] for i in order]
        test = _table(shuffled[items:], "test")
        test["clean_label"] = np.where(test["strength"] > 0, LABELS[1], LABELS[0])
        return cls(_clean_items(shuffled[:items]), test, PreferenceGroups.draw(ANNOTATORS_PER_GROUP, seed))

    @property
    def test_codes(self) -> np.ndarray:
        """Clean label of each test item as a position in `LABELS`, int [I]."""
        return (self.test["strength"] > 0).to_numpy().astype(int)

    def judge(self, seed: int) -> Annotations:
        """Every training item judged once, by an annotator drawn at random."""
        judged, _ = simulate(
            self.train_items, self.pool, n_annotators=len(self.pool.groups), labels_per_item=1, seed=seed
        )
        return Annotations(judged.table.drop(columns="clean_label"), LABELS, "nominal", judged.source)

    def wrong_share(self, annotations: Annotations) -> float:
        """Share of the judgements that are not the clean label."""
        return float((annotations.label_codes != self.train_items.codes[annotations.item_codes]).mean())

    def annotators(self, annotations: Annotations) -> pd.DataFrame:
        """One row per annotator: group, threshold, and how many items they judged positive.

        `positive_rate` is what they gave in `annotations`; `expected_positive_rate` what they would give on
        average if they judged every test item.
        """
        table = annotations.table.assign(positive=annotations.label_codes)
        given = (
            table.groupby("annotator_id")["positive"].agg(["size", "mean"]).reindex(self.names, fill_value=0)
        )
        return pd.DataFrame(
            {
                "annotator_id": self.names,
                "group": self.pool.groups,
                "threshold": self.pool.thresholds,
                "judgements": given["size"].to_numpy(),
                "positive_rate": given["mean"].to_numpy(),
                "expected_positive_rate": self.pool.positive_probability(
                    self.test["strength"].to_numpy()
                ).mean(0),
            }
        )

    @property
    def names(self) -> list[str]:
        """The annotators' ids, as `simulate` gives them."""
        return [f"a{a:02d}" for a in range(len(self.pool.groups))]


def _table(reviews: list[Review], prefix: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "item_id": [f"{prefix}{i:04d}" for i in range(len(reviews))],
            "text": [review.text for review in reviews],
            "strength": [round(review.strength, 4) for review in reviews],
        }
    )


def _clean_items(reviews: list[Review]) -> CleanItems:
    table = _table(reviews, "train")
    strength = table.pop("strength").to_numpy()
    return CleanItems(table, (strength > 0).astype(np.int64), LABELS, scores=strength)
