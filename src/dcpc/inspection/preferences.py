"""Votes between two responses: how often raters call a tie, choose the longer or the first one, and go in circles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.stats import binom

from dcpc.data.annotations import Annotations
from dcpc.data.raw import count
from dcpc.evaluation.multiplicity import holm
from dcpc.inspection.shares import Share, clustered, mean, share_of_sums, wilson

FIRST_COLUMNS = ("shown_first", "first_shown")
"""Columns that say which side, `a` or `b`, a rater saw first (or left)."""

COIN_FLIPS = 0.25
"""Share of cyclic triples if every vote were a coin flip: 2 of the 8 ways to direct a triangle."""

_ALWAYS = 10
"""Votes from which on one that never changes is worth a remark."""


@dataclass(frozen=True)
class Rater:
    """The habits of one rater.

    Attributes:
        rater: the id.
        ties: of all votes.
        longer: votes for the longer response (characters), of those for a side where lengths differ.
        first: votes for the side shown first, of those for a side.
        cyclic, triples: of the triples of responses that the rater compared all three ways, without ties, how many
            go in a circle (a > b > c > a).
        unlike: which of `ties`, `longer`, `first` differ from the pool's share (binomial test, Holm's correction over
            raters, 5 %).
    """

    rater: str
    ties: Share
    longer: Share
    first: Share
    cyclic: int
    triples: int
    unlike: tuple[str, ...]


@dataclass(frozen=True)
class Preferences:
    """Votes between two responses.

    Attributes:
        ties, longer, first: of the pool, as in `Rater`.
        position: what `first` means: the column that says so, or side a.
        same_vote: share of two raters of one pair who vote alike, ties included; mean over pairs.
        same_side: the same among votes for a side.
        cycles: cyclic triples of the pool, each pair directed by its majority.
        rater_cycles: cyclic triples inside raters, all together.
        swapped: of the pairs that one rater judged in both orders, how often the vote is the same.
        raters: most votes first; empty where raters are not named.
        notes: what was left out and what is odd, one sentence each.
    """

    ties: Share
    longer: Share
    first: Share
    position: str
    same_vote: Share
    same_side: Share
    cycles: Share
    rater_cycles: Share
    swapped: Share
    raters: tuple[Rater, ...]
    notes: tuple[str, ...]


def measure_preferences(annotations: Annotations) -> Preferences | None:
    """The habits of raters and of the pool; None where the judgements are not votes between two responses."""
    sides = vote_sides(annotations)
    if sides is None or not {"response_a", "response_b"} <= set(annotations.items.columns):
        return None
    votes = _Votes.of(annotations, sides)
    counts, items, n_items = annotations.counts, annotations.item_codes, annotations.n_items
    decided = votes.side != 0
    sided = np.stack([counts[:, sides == side].sum(axis=1) for side in (1, -1)], axis=1)  # [I, 2]
    three = np.column_stack([sided, counts.sum(axis=1) - sided.sum(axis=1)])
    named = np.flatnonzero(decided & (votes.rater >= 0))
    shares = annotations.weights
    pool_cyclic, pool_triples = _triangles(
        votes.winner[decided],
        votes.loser[decided],
        votes.n_responses,
        None if shares is None else shares[decided],
    )
    own_cyclic, own_triples = _triangles_of_raters(votes, named)
    raters = _raters(annotations, votes, own_cyclic, own_triples)
    return Preferences(
        ties=clustered(~decided, np.ones(len(decided), dtype=bool), items, n_items, shares),
        longer=clustered(votes.for_longer, votes.unequal & decided, items, n_items, shares),
        first=clustered(votes.for_first, decided, items, n_items, shares),
        position=votes.position,
        same_vote=mean(_pair_agreement(three)),
        same_side=mean(_pair_agreement(sided)),
        cycles=share_of_sums(
            np.bincount(votes.prompt_of_response, pool_cyclic / 3),
            np.bincount(votes.prompt_of_response, pool_triples / 3),
        ),
        rater_cycles=share_of_sums(own_cyclic, own_triples),
        swapped=_swapped(votes),
        raters=raters,
        notes=(*_odd_items(annotations), *_always(raters)),
    )


def vote_sides(annotations: Annotations) -> np.ndarray | None:
    """What each label votes for: 1 side a, −1 side b, 0 neither, int [C]; None if labels are not votes.

    Labels of a preference are `a`, `b` and `tie`. On an ordinal scale between two responses, as `a-is-better` to
    `b-is-better`, labels that begin with a side's letter vote for it.
    """
    known = {"a": 1, "b": -1, "tie": 0}
    if annotations.scale == "preference":
        return np.array([known.get(label, 0) for label in annotations.labels])
    first_letters = [label[:1].lower() for label in annotations.labels]
    ends = {first_letters[0], first_letters[-1]} if first_letters else set()
    if annotations.scale != "ordinal" or ends != {"a", "b"}:
        return None
    return np.array([known.get(letter, 0) for letter in first_letters])


@dataclass(frozen=True)
class _Votes:
    """One row per vote, J.

    Attributes:
        rater: code of the annotator, −1 where not named.
        side: 1 for side a, −1 for side b, 0 for a tie.
        first: 1 where side a was shown first, else −1.
        longer: 1 where response a is longer, −1 where b is, 0 where they are as long.
        left, right: codes of the responses a and b; the same text to the same prompt is the same response.
        prompt_of_response: the prompt of every response, [R].
        position: what `first` comes from.
    """

    rater: np.ndarray
    side: np.ndarray
    first: np.ndarray
    longer: np.ndarray
    left: np.ndarray
    right: np.ndarray
    prompt_of_response: np.ndarray
    position: str

    @classmethod
    def of(cls, annotations: Annotations, sides: np.ndarray) -> _Votes:
        import pandas as pd

        items, of_item = annotations.items, annotations.item_codes
        prompts = pd.factorize(items["text"])[0].astype(np.int64)  # [I]
        texts, n_items = pd.concat([items["response_a"], items["response_b"]]), len(items)
        text_codes, found = pd.factorize(texts)
        keys = np.r_[prompts, prompts] * len(found) + text_codes
        distinct, response = np.unique(keys, return_inverse=True)
        lengths = texts.str.len().to_numpy()
        longer = np.sign(lengths[:n_items] - lengths[n_items:]).astype(np.int64)
        column = next((name for name in FIRST_COLUMNS if name in annotations.table), None)
        first = np.ones(annotations.n_judgements, dtype=np.int64)
        if column is not None:
            first = np.where(annotations.table[column].astype("str").str.strip().str.lower() == "b", -1, 1)
        return cls(
            rater=annotations.annotator_codes,
            side=sides[annotations.label_codes],
            first=first,
            longer=longer[of_item],
            left=response[:n_items][of_item],
            right=response[n_items:][of_item],
            prompt_of_response=distinct // max(len(found), 1),
            position=f"column `{column}`" if column else "side a",
        )

    @property
    def n_responses(self) -> int:
        return len(self.prompt_of_response)

    @property
    def unequal(self) -> np.ndarray:
        return self.longer != 0

    @property
    def for_longer(self) -> np.ndarray:
        return (self.side != 0) & (self.side == self.longer)

    @property
    def for_first(self) -> np.ndarray:
        return (self.side != 0) & (self.side == self.first)

    @property
    def winner(self) -> np.ndarray:
        return np.where(self.side > 0, self.left, self.right)

    @property
    def loser(self) -> np.ndarray:
        return np.where(self.side > 0, self.right, self.left)


def _triangles(
    winner: np.ndarray, loser: np.ndarray, n: int, shares: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Cyclic triples, and triples with all three pairs decided, that each of n responses is in, [n] and [n].

    With A the majority's direction (A_ij = 1 if i beats j) and U = A + Aᵀ: node i is in Σ_k (A²)_ik A_ki cycles and
    in Σ_k (U²)_ik U_ik / 2 triples. Pairs without a majority, and responses against themselves, are no edges.
    """
    votes = np.ones(len(winner)) if shares is None else shares
    net = sparse.coo_matrix((votes, (winner, loser)), shape=(n, n)).tocsr()
    beats = (net - net.T).maximum(0).sign()
    either = beats + beats.T
    cyclic = (beats @ beats).multiply(beats.T).sum(axis=1)
    triples = (either @ either).multiply(either).sum(axis=1) / 2
    return np.asarray(cyclic).ravel(), np.asarray(triples).ravel()


def _triangles_of_raters(votes: _Votes, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cyclic and all triples of each rater, [A] and [A]: the same count on a response per rater who saw it."""
    rater = votes.rater[rows].astype(np.int64)
    keys = np.r_[
        rater * votes.n_responses + votes.winner[rows], rater * votes.n_responses + votes.loser[rows]
    ]
    nodes, codes = np.unique(keys, return_inverse=True)
    cyclic, triples = _triangles(codes[: len(rows)], codes[len(rows) :], len(nodes))
    of, n = nodes // max(votes.n_responses, 1), int(votes.rater.max(initial=-1)) + 1
    return np.bincount(of, cyclic / 3, minlength=n), np.bincount(of, triples / 3, minlength=n)


def _raters(
    annotations: Annotations, votes: _Votes, cyclic: np.ndarray, triples: np.ndarray
) -> tuple[Rater, ...]:
    n = len(annotations.annotators)
    named = votes.rater >= 0
    decided = named & (votes.side != 0)

    def per_rater(rows: np.ndarray) -> np.ndarray:
        return np.bincount(votes.rater[rows], minlength=n)

    figures = {
        "ties": (per_rater(named & (votes.side == 0)), per_rater(named)),
        "longer": (per_rater(decided & votes.for_longer), per_rater(decided & votes.unequal)),
        "first": (per_rater(decided & votes.for_first), per_rater(decided)),
    }
    unlike = {name: _unlike_pool(*pair) for name, pair in figures.items()}
    raters = [
        Rater(
            rater=str(annotations.annotators[row]),
            **{name: wilson(int(hits[row]), int(of[row])) for name, (hits, of) in figures.items()},
            cyclic=round(cyclic[row]) if row < len(cyclic) else 0,
            triples=round(triples[row]) if row < len(triples) else 0,
            unlike=tuple(name for name in figures if unlike[name][row]),
        )
        for row in range(n)
    ]
    return tuple(sorted(raters, key=lambda r: (-r.ties.n, r.rater)))


def _unlike_pool(hits: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Whether each rater's share differs from that of all others together, bool [A]."""
    there = np.flatnonzero(of > 0)
    result = np.zeros(len(of), dtype=bool)
    if len(there) < 2:
        return result
    h, n = hits[there], of[there]
    rest = (hits.sum() - h + 0.5) / (of.sum() - n + 1)  # never 0 or 1
    p = np.minimum(1, 2 * np.minimum(binom.cdf(h, n, rest), binom.sf(h - 1, n, rest)))
    result[there] = np.asarray(holm(p.tolist())) < 0.05
    return result


def _pair_agreement(counts: np.ndarray) -> np.ndarray:
    """The share of alike pairs of votes of each item that has two, [I'], see `pairwise_agreement`."""
    sizes = counts.sum(axis=1)
    counts, sizes = counts[sizes >= 2], sizes[sizes >= 2]
    return (counts * (counts - 1)).sum(axis=1) / (sizes * (sizes - 1))


def _swapped(votes: _Votes) -> Share:
    """Of one rater's two votes on the same responses in opposite order, how often they go the same way."""
    import pandas as pd

    low, high = np.minimum(votes.left, votes.right), np.maximum(votes.left, votes.right)
    table = pd.DataFrame(
        {
            "rater": votes.rater,
            "low": low,
            "high": high,
            "turned": votes.left > votes.right,
            "side": np.where(votes.left > votes.right, -votes.side, votes.side),
        }
    )
    table = table[(votes.rater >= 0) & (low != high)].drop_duplicates(["rater", "low", "high", "turned"])
    both = table[~table["turned"]].merge(table[table["turned"]], on=["rater", "low", "high"])
    return wilson(int((both["side_x"] == both["side_y"]).sum()), len(both))


def _odd_items(annotations: Annotations) -> list[str]:
    items = annotations.items
    same = int((items["response_a"] == items["response_b"]).sum())
    empty = int(((items["response_a"].str.strip() == "") | (items["response_b"].str.strip() == "")).sum())
    notes = []
    if same:
        notes.append(f"{count(same, 'pair')} of two equal responses: only a tie would be an honest vote.")
    if empty:
        notes.append(f"{count(empty, 'pair')} with an empty response.")
    return notes


def _always(raters: tuple[Rater, ...]) -> list[str]:
    notes = []
    for name, share, what in (
        ("first", 1.0, "the first side"),
        ("first", 0.0, "the second side"),
        ("ties", 1.0, "a tie"),
    ):
        found = [r for r in raters if getattr(r, name).n >= _ALWAYS and getattr(r, name).share == share]
        if found:
            shown = ", ".join(f"{r.rater} ({getattr(r, name).n})" for r in found[:3])
            more = f" and {len(found) - 3:,} more" if len(found) > 3 else ""
            notes.append(f"Always {what}: {shown}{more}. Look whether these raters read the responses.")
    return notes
