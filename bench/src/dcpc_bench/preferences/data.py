"""Sets of votes as arrays: features of responses, votes, raters, and splits by prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dcpc.data.embeddings import MAX_LENGTH, embed_texts
from dcpc.data.pairs import embedding_cache
from dcpc.models.loading import loadable_path
from dcpc.models.minilm import MINILM

FIVE = {
    "a-is-better": "a",
    "a-is-slightly-better": "slightly a",
    "tie": "tie",
    "b-is-slightly-better": "slightly b",
    "b-is-better": "b",
}
LABELS = ("a", "b", "tie")
LONGEST_READ = 64
"""Tokens that base models other than `minilm` read of a text: whole texts take a language model hours on a CPU."""
N_DIRECTIONS = 64
"""Principal directions of the embeddings that are kept, so that a fit takes a second."""


@dataclass(frozen=True)
class VoteSet:
    """Where a set of votes lies and what it is split by.

    Attributes:
        folder: under the folder of the data.
        unit: column whose values are split, so that no prompt is in two parts.
        most_pairs: pairs drawn at random of a larger set; None for all.
        labels: the votes.
        renamed: label of the source → ours; None takes the column `preference`.
    """

    folder: str
    unit: str
    most_pairs: int | None = None
    labels: tuple[str, ...] = LABELS
    renamed: Mapping[str, str] | None = None


SETS = {
    "mt_bench_human": VoteSet("mt_bench_human", "question_id"),
    "tulu_human_eval": VoteSet("tulu_human_eval", "text"),
    "tulu_human_eval_graded": VoteSet("tulu_human_eval", "text", labels=tuple(FIVE.values()), renamed=FIVE),
    "ukpconvarg1": VoteSet("ukpconvarg1_preference", "topic", most_pairs=4000),
    "pandalm": VoteSet("pandalm_preference", "text"),
    "squality": VoteSet("squality_preference", "passage_id", labels=("a", "b")),
}


@dataclass(frozen=True)
class Votes:
    """J votes of A raters on P pairs, in float64.

    Attributes:
        features: of a less those of b [P, H]; the first is the logarithm of the length in characters.
        pair: pair of each vote [J].
        rater: number of each vote's rater [J], −1 for one who is to be taken for unknown.
        vote: position of each vote in `labels` [J].
        unit: what each pair is split by [P].
        raters: ids of the A raters.
        labels: the C votes.
    """

    features: Tensor
    pair: Tensor
    rater: Tensor
    vote: Tensor
    unit: np.ndarray
    raters: tuple[str, ...]
    labels: tuple[str, ...]

    def where(self, rows: np.ndarray) -> Votes:
        """The votes that a mask over J selects; the same pairs and raters."""
        at = torch.from_numpy(np.flatnonzero(rows))
        return Votes(
            self.features, self.pair[at], self.rater[at], self.vote[at], self.unit, self.raters, self.labels
        )

    def __len__(self) -> int:
        return len(self.vote)


def load_votes(name: str, folder: Path, base_model: str = MINILM) -> Votes:
    """Read a set; the embeddings of its responses are kept in the user's cache.

    Args:
        name: in `SETS`.
        folder: of the data.
        base_model: whose embeddings, frozen, are the features: the mean of the last states over a text's tokens.
    """
    spec = SETS[name]
    table = pd.read_parquet(folder / spec.folder)
    if spec.most_pairs is not None:
        # Whole units would be few; pairs of all of them are drawn.
        drawn = np.random.default_rng(0).permutation(table["item_id"].unique())[: spec.most_pairs]
        table = table[table["item_id"].isin(drawn)].reset_index(drop=True)
    label = table["preference"] if spec.renamed is None else table["label"].map(dict(spec.renamed))
    pair, ids = pd.factorize(table["item_id"])
    rater, raters = pd.factorize(table["annotator_id"], sort=True)
    first = table.drop_duplicates("item_id").set_index("item_id").loc[ids]
    return Votes(
        features=torch.from_numpy(_features(first, base_model)),
        pair=torch.from_numpy(pair),
        rater=torch.from_numpy(rater),
        vote=torch.from_numpy(pd.Index(spec.labels).get_indexer(pd.Index(label))),
        unit=first[spec.unit].astype(str).to_numpy(),
        raters=tuple(raters),
        labels=spec.labels,
    )


def _features(pairs: pd.DataFrame, base_model: str) -> np.ndarray:
    """Length, likeness to the prompt, and principal directions of the embeddings; a less b.

    Each is scaled to a mean square of 1. Differences need no centring: with the sides swapped they change their sign.
    """
    prompts = pairs["text"].tolist()
    sides = []
    for column in ("response_a", "response_b"):
        responses = pairs[column].tolist()
        both = [f"{prompt}\n{response}" for prompt, response in zip(prompts, responses, strict=True)]
        alone, asked, joint = (_embedded(texts, base_model) for texts in (responses, prompts, both))
        length = np.log1p([len(response) for response in responses])[:, None]
        near = (alone * asked).sum(axis=1, keepdims=True)
        sides.append((np.hstack([length, near]), np.hstack([alone, joint])))
    plain, embedded = (first - second for first, second in zip(*sides, strict=True))
    _, _, axes = np.linalg.svd(embedded, full_matrices=False)
    features = np.hstack([plain, embedded @ axes[:N_DIRECTIONS].T]).astype(np.float64)
    scale = np.sqrt((features**2).mean(axis=0))
    # One scale for all directions: what varies little between responses has little to say.
    scale[2:] = np.sqrt((features[:, 2:] ** 2).sum(axis=1).mean() / 8)
    return features / np.maximum(scale, 1e-12)


def _embedded(texts: list[str], base_model: str) -> np.ndarray:
    own = base_model == MINILM  # its name is the cache's
    return embed_texts(
        texts,
        base_model if own else loadable_path(base_model),
        cache_dir=embedding_cache(),
        progress=False,
        max_length=MAX_LENGTH if own else LONGEST_READ,
    )


def split_units(
    votes: Votes, seed: int, shares: tuple[float, float] = (0.6, 0.2)
) -> tuple[Votes, Votes, Votes]:
    """Training, validation and test votes, no unit in two of them."""
    rng = np.random.default_rng(seed)
    units = rng.permutation(np.unique(votes.unit))
    n = len(units)
    bounds = [max(1, round(n * shares[0])), max(2, round(n * (shares[0] + shares[1])))]
    part = {unit: sum(i >= bound for bound in bounds) for i, unit in enumerate(units)}
    of_pair = np.array([part[unit] for unit in votes.unit])
    of_vote = of_pair[votes.pair.numpy()]
    first, second, third = (votes.where(of_vote == number) for number in range(3))
    return first, second, third
