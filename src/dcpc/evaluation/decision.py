"""Which label to decide for, given a predicted distribution, and the rule that an adapter carries for it.

The most probable label is the best decision for accuracy: a temperature on the probabilities does not change it, and
a bias per label would follow the accidents of the held-out labels. It is not the best for macro-F1: on unbalanced
sets a well shrunk model then votes for the majority class alone. For that goal one additive offset per label is
fitted in two steps: noisy validation labels say how far the probabilities can be trusted, and the offsets are best
for the labels that the probabilities, so corrected, lead to expect:

    q(p) = softmax(τ ln p)                           τ by maximum a posteriori
    decision(p) = argmax_c (ln p_c + o_c)            o = argmax E_{y ~ q} macro-F1(decision(p), y)

Offsets for the macro-F1 of the validation labels themselves follow the accidents of some hundred noisy labels, and a
bias per label fitted with τ follows those too: both were measured (docs/metrics.md, docs/research.md).

What a single person would say is always the most probable label: offsets that favour rare labels only add errors.

Of a slider's hundred steps none is probable, and the most probable one is an accident. Its median is decided for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from dcpc.data.annotations import Annotations
from dcpc.errors import UsageError
from dcpc.evaluation.inputs import check_codes, check_counts, check_probabilities
from dcpc.probabilities import SMALLEST

Goal = Literal["macro-f1", "accuracy", "distance"]
"""What decisions are to be good for: `macro-f1` weighs every label the same, `accuracy` every item; `distance` is the
median, from which the judgements to expect are the least steps away, for labels in an order."""

FEWEST_ITEMS = 10
"""Held-out items below which no rule is fitted: two gain nothing in macro-F1 and cost accuracy, ten already bring two
thirds of what a hundred do (docs/metrics.md)."""
PRIOR_PRECISION = 20.0
"""Of the normal prior of ln τ around zero: probabilities are believed until labels object."""
LARGEST_LOG_TEMPERATURE = 4.0
"""ln τ is sought between this and its negative."""
CANDIDATES = 100
"""Offsets tried per label and sweep: quantiles of the points where some decision changes."""
SWEEPS = 5
"""At most so often all labels are revisited; two or three suffice in practice."""


class DecisionRule(BaseModel):
    """The offsets of an adapter, and what they were fitted on; made by `fit_rule`, kept in `task.json`.

    Attributes:
        offsets: on ln p, C of them in the order of the labels, of mean zero.
        items: held-out items that they were fitted on.
        judgements: noisy judgements of these items.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    offsets: list[FiniteFloat] = Field(min_length=2)
    items: int
    judgements: int

    def mirrored(self, mirror: Sequence[int]) -> DecisionRule:
        """With one offset for each label and its counterpart, the mean of their two.

        Args:
            mirror: position of each label's counterpart, C of them.
        """
        both = [(own + self.offsets[other]) / 2 for own, other in zip(self.offsets, mirror, strict=True)]
        return self.model_copy(update={"offsets": both})


def fit_rule(probabilities: ArrayLike, held_out: Annotations) -> DecisionRule | None:
    """The rule for distributions of held-out items, float [I, C], and the judgements of these items.

    Every judgement counts once. The judgements are noisy ones of items that training did not see; never clean labels,
    nor those of a test. None where there are fewer than `FEWEST_ITEMS`, and for a slider, whose
    steps are decided for by their distance.
    """
    if held_out.n_items < FEWEST_ITEMS or held_out.range is not None:
        return None
    p = np.asarray(probabilities)  # [I, C]
    if held_out.weights is None:
        offsets = fit_offsets(p[held_out.item_codes], held_out.label_codes)
    else:
        offsets = fit_offsets(p, held_out.soft_labels)
    return DecisionRule(offsets=offsets.tolist(), items=held_out.n_items, judgements=held_out.n_judgements)


def chosen_goal(rule: DecisionRule | None, goal: str | None = None, *, slider: bool = False) -> Goal:
    """What to decide for: the goal that was asked for, or by default macro-F1 where there is a rule for it.

    The steps of a slider are decided for by their distance, unless something else is asked for.

    Raises:
        UsageError: there is no such goal, or macro-F1 was asked for and there is no rule.
    """
    if goal is None and slider:
        return "distance"
    if goal is None:
        return "accuracy" if rule is None else "macro-f1"
    for known in get_args(Goal):
        if goal != known:
            continue
        if known == "macro-f1" and rule is None:
            raise UsageError(
                "the adapter carries no decision rule for macro-F1: too few items were held out, or none.",
                fix=f"Decide for accuracy, or train with at least {FEWEST_ITEMS} validation items.",
            )
        return known
    raise UsageError(
        f"there is nothing called `{goal}` to decide for.", fix=f"Goals are: {', '.join(get_args(Goal))}."
    )


def decide_labels(probabilities: ArrayLike, rule: DecisionRule | None, goal: str | None = None) -> np.ndarray:
    """Decided label positions, int [I], from distributions [I, C]: what everything here and outside decides by.

    Args:
        probabilities: predicted distributions, float [I, C].
        rule: of the adapter; None where it has none.
        goal: `macro-f1` (with the rule's offsets), `accuracy` (the most probable label) or `distance` (the median);
            None for the first where there is a rule, else the second.

    Raises:
        UsageError: as `chosen_goal`; or the rule has another number of labels.
    """
    p = check_probabilities(probabilities)
    if goal == "distance":
        return median_labels(p)
    if chosen_goal(rule, goal) == "accuracy" or rule is None:
        return p.argmax(axis=1)
    if len(rule.offsets) != p.shape[1]:
        raise UsageError(f"the rule is for {len(rule.offsets)} labels, the predictions have {p.shape[1]}")
    return decide(p, np.array(rule.offsets))


def decide(probabilities: ArrayLike, offsets: np.ndarray) -> np.ndarray:
    """Label positions, int [I], from distributions [I, C] and offsets [C] on the log probabilities."""
    return (_log(check_probabilities(probabilities)) + offsets).argmax(axis=1)


def median_labels(p: np.ndarray) -> np.ndarray:
    """Medians of distributions [I, C], int [I]: the first label at which half of the probability is reached."""
    return (p.cumsum(axis=1) >= 0.5 - SMALLEST).argmax(axis=1)


def fit_offsets(probabilities: ArrayLike, labels: ArrayLike) -> np.ndarray:
    """Offsets on ln p, float [C] of mean zero, that maximise the macro-F1 to expect.

    Args:
        probabilities: out-of-sample predicted distributions, one row per validation judgement, float [V, C].
        labels: noisy label positions, int [V], or shares of labels, float [V, C]; never clean or test labels.
    """
    p = check_probabilities(probabilities)  # [V, C]
    if np.ndim(labels) == 2:
        truth = check_counts(labels, p.shape)
    else:
        truth = check_codes(labels, len(p), p.shape[1], "validation labels")
    log_p = _log(p)  # [V, C]
    expected = softmax(fit_temperature(p, truth) * log_p, axis=1)  # [V, C]
    # τ ln p + o decides as ln p + o / τ does, so that offsets are sought on ln p itself.
    offsets = best_offsets(log_p, expected)
    return offsets - offsets.mean()  # only differences matter


def fit_temperature(p: np.ndarray, labels: np.ndarray) -> float:
    """τ of softmax(τ ln p), at most so far from 1 as the labels ask for.

    Minimises Σ_v −ln q_v(y_v) + λ/2 ln² τ with λ = `PRIOR_PRECISION`.

    Args:
        p: predicted distributions, float [V, C].
        labels: label positions, int [V], or shares, float [V, C].
    """
    log_p, rows = _log(p), np.arange(len(p))

    def objective(log_temperature: float) -> float:
        log_q = log_softmax(np.exp(log_temperature) * log_p, axis=1)
        of_labels = log_q[rows, labels] if labels.ndim == 1 else labels * log_q
        return float(-of_labels.sum() + PRIOR_PRECISION / 2 * log_temperature**2)

    bounds = (-LARGEST_LOG_TEMPERATURE, LARGEST_LOG_TEMPERATURE)
    return float(np.exp(minimize_scalar(objective, bounds=bounds, method="bounded").x))


def best_offsets(scores: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Offsets [C] on scores [V, C] with the highest macro-F1, by coordinate ascent from zero.

    A label's offset moves only where that raises macro-F1; among equally good offsets the one nearest to where
    it was wins, so that labels without evidence keep the decision of the highest score.

    Args:
        scores: of every label, higher is likelier, float [V, C].
        expected: how probable every label is, float [V, C]; one-hot rows where labels are known.
    """
    n_classes = scores.shape[1]
    offsets = np.zeros(n_classes)
    best = _macro_f1(expected, scores.argmax(axis=1)[None])[0]
    for _ in range(SWEEPS):
        before = best
        for c in range(n_classes):
            tried, decisions = _candidates(scores, offsets, c)  # [T], [T, V]
            reached = _macro_f1(expected, decisions)  # [T]
            winner = np.lexsort((np.abs(tried - offsets[c]), -reached))[0]
            if reached[winner] > best + 1e-12:
                best, offsets[c] = reached[winner], tried[winner]
        if best == before:
            break
    return offsets


def _log(p: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(p, SMALLEST))


def _candidates(scores: np.ndarray, offsets: np.ndarray, c: int) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of label c between the points where decisions change, [T], and the decisions there, [T, V]."""
    others = scores + offsets  # [V, C]
    others[:, c] = -np.inf
    turning = np.unique(others.max(axis=1) - scores[:, c])  # [V]: item i is decided c above its turning point
    middles = np.concatenate([[turning[0] - 1], (turning[1:] + turning[:-1]) / 2, [turning[-1] + 1]])
    if len(middles) > CANDIDATES:
        middles = np.quantile(middles, np.linspace(0, 1, CANDIDATES))
    chosen = scores[:, c] + middles[:, None] > others.max(axis=1)  # [T, V]
    return middles, np.where(chosen, c, others.argmax(axis=1))


def _macro_f1(expected: np.ndarray, decisions: np.ndarray) -> np.ndarray:
    """Macro-F1, [T], of T decision rules [T, V] for labels with probabilities [V, C].

    Expected hits over expected sizes, a ratio of means, which at some hundred labels is as good as the mean of
    the ratio. A label counts where it is decided for, else as far as it is likely to occur at all.
    """
    total, count = np.zeros(len(decisions)), np.zeros(len(decisions))
    for c in range(expected.shape[1]):
        said = decisions == c  # [T, V]
        size = said.sum(axis=1) + expected[:, c].sum()  # [T]
        total += 2 * (said @ expected[:, c]) / np.maximum(size, SMALLEST)
        count += np.where(said.any(axis=1), 1.0, 1.0 - (1.0 - expected[:, c]).prod())
    return total / count
