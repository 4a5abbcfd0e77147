"""New annotators for a trained adapter: what each prefers, from a few judgements, with everything else as it is.

What an adapter knows of an annotator is u_a ∈ R^K. For one who was not there in training:

    prior       u_a ~ N(m, S)          m, S: mean and covariance of the annotators of the training; m is the mean of
                                       the annotator's group where that is known
    likelihood  Π_j softmax(z_j + effect(u_a))_{y_j}     z_j: logits of the judged items, computed once
    posterior   N(û, Σ)                Laplace: û by Newton's method, Σ the inverse of the curvature there

The posterior is kept as 2R points of equal weight with its mean and covariance (the third-degree cubature rule; R is
the rank of S), and a prediction is the mean of what these points predict: with few judgements it stays near the
population's, and no strength of shrinkage has to be chosen. A later file of judgements goes on from there, as the
posterior is then the prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from dcpc.adapter import TrainedAdapter
from dcpc.data.annotations import Annotations
from dcpc.data.equality import same_ids
from dcpc.errors import LabelError, UsageError
from dcpc.names import first_of
from dcpc.training.groups import group_name, stand_in
from dcpc.training.step import annotator_mode
from dcpc.tuner import DCPCModel
from dcpc.tuner.acting import dcpc_tuner
from dcpc.tuner.annotators import AnnotatorEffects

STEPS, HALVINGS = 50, 30
"""At most so many Newton steps, and halvings of one that would make the fit worse."""
CONVERGED = 1e-6
"""Change of the objective, in nats, at which an annotator's fit ends."""
LEAST_VARIANCE = 1e-8
"""Of an axis of the preferences; along smaller ones the annotators of the training do not differ."""


@dataclass(frozen=True)
class Adapted:
    """What an adaptation did.

    Attributes:
        annotators: ids of those that were adapted to, now or again.
        judgements: how many of each were used.
        notes: what was left out, to be shown to the user.
    """

    annotators: list[str]
    judgements: list[int]
    notes: list[str]


def adapt(
    adapter: TrainedAdapter,
    few: Annotations,
    *,
    exact: bool = False,
    batch_size: int = 64,
    progress: bool = False,
) -> Adapted:
    """Let an adapter know the annotators of `few` whom it does not know yet.

    The adapter changes in memory: it knows more annotators, and no other number of it is another one. Annotators of
    the training stay as they are, and the population, whose mean the distribution of an item is, is still theirs.

    Args:
        adapter: trained by DCPC with annotators, mode `output`; or on votes between responses with raters.
        few: judgements of new annotators, any number each. Those of annotators whom the training knew are left out,
            and counted. Judgements that an earlier adaptation had must not come again: they would count twice.
        exact: an annotator is known only where the id is written as in training; else `1.0` is also `1`.
        batch_size: items per forward pass.
        progress: show a progress bar.

    Raises:
        UsageError: the adapter knows no annotators, or in another way; the judgements name none, or only known ones.
        LabelError: a label that the adapter does not know.
    """
    if adapter.shape.name == "prefer":
        from dcpc.preference.adapting import add_raters

        few, notes = _of_new_annotators(adapter, few, exact, adapter.annotators, adapter.annotators)
        add_raters(adapter, few, batch_size=batch_size, progress=progress)
        return Adapted(list(few.annotators), np.bincount(few.annotator_codes).tolist(), notes)
    tuner = _adaptable(adapter)
    effects, config = tuner.annotators, tuner.active_config
    assert config is not None  # `_adaptable`
    few, notes = _of_new_annotators(adapter, few, exact, config.annotators or [], config.known_annotators)
    logits, means = _pass(adapter, few, batch_size, progress)
    names = list(few.annotators)
    earlier = config.adapted_annotators or []
    prior = _Prior.of(effects)
    if prior.rank == 0:
        raise UsageError(
            "the annotators of the training do not differ in anything that this adapter knows, so new ones cannot be "
            "told apart.",
            fix="Predict the consensus or the distribution, or train on judgements of more annotators.",
        )
    points = {} if effects.adapted is None else dict(zip(earlier, _precise(effects.adapted), strict=True))
    groups = _groups(adapter, few)
    for number, name in enumerate(names):
        chosen = torch.from_numpy(np.flatnonzero(few.annotator_codes == number))
        own = prior.after(points[name]) if name in points else prior.around(effects, groups.get(name))
        items = torch.from_numpy(few.item_codes)[chosen]
        labels = torch.from_numpy(few.label_codes)[chosen]
        points[name] = posterior_points(effects, own, logits[items], means[items], labels)
    ids = list(points)
    config.adapted_annotators, config.adapted_points = ids, 2 * prior.rank
    effects.adapt(ids, torch.stack([points[name] for name in ids]))
    counts = np.bincount(few.annotator_codes[few.annotator_codes >= 0], minlength=len(names))
    return Adapted(names, counts.tolist(), notes)


@dataclass(frozen=True)
class _Prior:
    """N(m, L Lᵀ) over preferences.

    Attributes:
        mean: m [K].
        scale: L [K,R].
    """

    mean: Tensor
    scale: Tensor

    @property
    def rank(self) -> int:
        return self.scale.shape[1]

    @classmethod
    @torch.no_grad()
    def of(cls, effects: AnnotatorEffects) -> _Prior:
        """Of an annotator of whom nothing is known: mean and covariance of the annotators of the training."""
        known = _precise(effects.mean)  # [A,K]
        centre = known.mean(dim=0)
        return cls(centre, _root(_covariance(known - centre)))

    @torch.no_grad()
    def around(self, effects: AnnotatorEffects, group: int | None) -> _Prior:
        """Of a member of a group, given by its index; of anybody where it is None.

        The covariance is that around the groups' means, and counts the one of anybody as a single further annotator:
        members whom the training found alike may still differ from a new one.
        """
        if group is None or effects.group_mean is None:
            return self
        within = _covariance(_precise(effects.mean) - _precise(effects.prior_mean()))
        size = effects.size
        covariance = (size * within + self.scale @ self.scale.T) / (size + 1)
        mean = _precise(effects.group_mean[group - size])
        return _Prior(mean, _root(covariance, self.rank))

    @torch.no_grad()
    def after(self, points: Tensor) -> _Prior:
        """The posterior that the points [2R,K] of an earlier adaptation stand for."""
        mean = points.mean(dim=0)
        return _Prior(mean, (points[: self.rank] - mean).T / self.rank**0.5)


def _covariance(around: Tensor) -> Tensor:
    """[K,K] of A deviations [A,K] from a mean."""
    return around.T @ around / max(1, len(around) - 1)


def _root(covariance: Tensor, rank: int | None = None) -> Tensor:
    """L [K,R] with L Lᵀ the covariance [K,K]; R is its rank, or given."""
    values, axes = torch.linalg.eigh(covariance)  # rising
    if rank is None:
        rank = int((values > LEAST_VARIANCE).sum())
    first = len(values) - rank
    return axes[:, first:] * values[first:].clamp_min(0).sqrt()


def posterior_points(
    effects: AnnotatorEffects, prior: _Prior, logits: Tensor, means: Tensor, labels: Tensor
) -> Tensor:
    """Points of an annotator's posterior.

    Args:
        effects: of the adapter, mode `output`.
        prior: of the preference.
        logits: z of the judged items, [J,C].
        means: μ̄ of the same items, [J,K].
        labels: positions of the labels given, int [J].

    Returns:
        [2R,K] in double precision: û ± √R · columns of a root of Σ.
    """
    t = logits.new_zeros(prior.rank)  # u = m + L t, t ~ N(0, I)
    value = _objective(effects, prior, t, logits, means, labels)
    for _ in range(STEPS):
        gradient, curvature = _derivatives(effects, prior, t, logits, means, labels)
        step = torch.linalg.solve(curvature, gradient)
        for _ in range(HALVINGS):
            new = _objective(effects, prior, t - step, logits, means, labels)
            if new <= value:
                break
            step = step / 2
        else:
            break
        t, change, value = t - step, value - new, new
        if change < CONVERGED:
            break
    _, curvature = _derivatives(effects, prior, t, logits, means, labels)
    root = torch.linalg.cholesky(torch.linalg.inv(curvature))  # [R,R]
    columns = prior.rank**0.5 * root.T  # [R,R], a row each
    points = torch.cat([t + columns, t - columns])  # [2R,R]
    return prior.mean + points @ prior.scale.T


@torch.no_grad()
def _objective(
    effects: AnnotatorEffects, prior: _Prior, t: Tensor, logits: Tensor, means: Tensor, labels: Tensor
) -> Tensor:
    """Minus the log of likelihood and prior, but for a constant."""
    found = logits + _effect(effects, prior, t, means)
    own = found.log_softmax(dim=-1).gather(1, labels[:, None])
    return t.square().sum() / 2 - own.sum()


@torch.no_grad()
def _derivatives(
    effects: AnnotatorEffects, prior: _Prior, t: Tensor, logits: Tensor, means: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradient [R] and Gauss-Newton curvature [R,R] of the objective: the latter is positive definite everywhere."""
    slopes = _slopes(effects, prior, t, means)  # [J,C,R]
    p = (logits + _effect(effects, prior, t, means)).softmax(dim=-1)  # [J,C]
    residual = p - torch.nn.functional.one_hot(labels, p.shape[1])  # [J,C]
    gradient = torch.einsum("jc,jcr->r", residual, slopes) + t
    mean = torch.einsum("jc,jcr->jr", p, slopes)
    spread = torch.einsum("jc,jcr,jcs->rs", p, slopes, slopes) - mean.T @ mean
    return gradient, spread + torch.eye(len(t), dtype=t.dtype)


def _effect(effects: AnnotatorEffects, prior: _Prior, t: Tensor, means: Tensor) -> Tensor:
    """Effect [J,C] of the preference m + L t on the logits of items with style logits [J,K]."""
    style, direct = _matrices(effects)
    u = prior.mean + prior.scale @ t  # [K]
    shift = (means + u).softmax(dim=-1) - means.softmax(dim=-1)  # [J,K]
    return shift @ style + u @ direct


def _slopes(effects: AnnotatorEffects, prior: _Prior, t: Tensor, means: Tensor) -> Tensor:
    """Derivative of `_effect` by t: ((diag q − q qᵀ) E + D)ᵀ L with q = softmax(μ̄ + u), [J,C,R]."""
    style, direct = _matrices(effects)
    q = (means + prior.mean + prior.scale @ t).softmax(dim=-1)  # [J,K]
    by_preference = q[:, :, None] * (style - (q @ style)[:, None]) + direct  # [J,K,C]
    return torch.einsum("jkc,kr->jcr", by_preference, prior.scale)


def _matrices(effects: AnnotatorEffects) -> tuple[Tensor, Tensor]:
    """E and D [K,C] as the fit takes them."""
    assert effects.style_effect is not None  # mode `output`
    assert effects.direct_effect is not None
    return _precise(effects.style_effect), _precise(effects.direct_effect)


def _precise(tensor: Tensor) -> Tensor:
    """On the CPU, in double precision: the fits are small, and not every accelerator has doubles."""
    return tensor.detach().cpu().double()


def _adaptable(adapter: TrainedAdapter) -> DCPCModel:
    """The tuner, where new annotators can be told from judgements alone."""
    tuner = dcpc_tuner(adapter.model)
    mode = "none" if tuner is None else annotator_mode(tuner)
    if tuner is None or mode == "none":
        raise UsageError(
            f"this adapter ({adapter.task.method}) knows no annotators, so there is nothing to adapt.",
            fix="Train with --method dcpc, an annotator_mode other than none (the preset paper has none), and data "
            "with an annotator_id column.",
        )
    if mode == "prefix":
        raise UsageError(
            "this adapter's annotators act inside the model (annotator_mode=prefix), so that a new one cannot be "
            "learned from the logits.",
            fix="Train with --set annotator_mode=output, or train again with the new annotators' judgements.",
        )
    return tuner


def _of_new_annotators(
    adapter: TrainedAdapter, few: Annotations, exact: bool, trained: Sequence[str], spelt_as: Sequence[str]
) -> tuple[Annotations, list[str]]:
    """The judgements of annotators whom training did not know, with the adapter's labels; and notes on the rest.

    Args:
        adapter: trained.
        few: judgements.
        exact: ids are the same only where they are written alike.
        trained: annotators whose judgements are left out.
        spelt_as: annotators whose spelling others with an equal id take.
    """
    labels = adapter.task.labels
    if unknown := [label for label in few.labels if label not in labels]:
        raise LabelError(
            f"the label {unknown[0]} is none of the adapter's: {', '.join(labels)}.",
            where=few.source,
            fix="Correct the label, or remove its rows.",
        )
    if not few.has_annotators or few.table["annotator_id"].isna().all():
        raise UsageError(
            "the judgements name no annotators.",
            where=few.source,
            fix="Name the column of their ids: --columns annotator_id=YOUR_COLUMN.",
        )
    few = replace(few, labels=tuple(labels), scale=adapter.task.scale)
    ids = few.table["annotator_id"]
    spelt = {} if exact else same_ids(ids.dropna().unique(), set(spelt_as))
    if spelt:
        few = replace(few, table=few.table.assign(annotator_id=ids.replace(spelt)))
        ids = few.table["annotator_id"]
    known = ids.isin(list(trained)).to_numpy()
    nameless = ids.isna().to_numpy()
    notes = []
    if known.any():
        who = first_of(sorted(ids[known].unique()), 3)
        notes.append(
            f"{known.sum():,} judgements of annotators whom the training knew were left out, and these stay as they "
            f"are: {who}."
        )
    if nameless.any():
        notes.append(f"{nameless.sum():,} judgements name no annotator and were left out.")
    kept = ~known & ~nameless
    if not kept.any():
        raise UsageError(
            "every judgement is by an annotator whom the adapter knows from its training.",
            where=few.source,
            fix="Train again to learn more of them; adapting is for new annotators.",
        )
    return few.where(kept), notes


@torch.no_grad()
def _pass(
    adapter: TrainedAdapter, few: Annotations, batch_size: int, progress: bool
) -> tuple[Tensor, Tensor]:
    """Logits [I,C] and style logits [I,K] of the items, on the CPU in double precision."""
    from dcpc.prediction.predict import batches

    tuner = dcpc_tuner(adapter.model)
    assert tuner is not None
    n_styles = tuner.annotators.mean.shape[1]
    logits = torch.zeros(few.n_items, len(adapter.task.labels), dtype=torch.double)
    means = torch.zeros(few.n_items, n_styles, dtype=torch.double)
    for rows, tokens in batches(adapter, few.items, batch_size, progress):
        scored = adapter.rule.scored(adapter.model, tokens)
        logits[rows] = scored.logits.cpu().double()
        if scored.styles is not None:
            means[rows] = scored.styles.mean[-1].cpu().double()
    return logits, means


def _groups(adapter: TrainedAdapter, few: Annotations) -> dict[str, int]:
    """Index of the group of each new annotator whose group the adapter knows."""
    column, tuner = adapter.task.group_column, dcpc_tuner(adapter.model)
    if column is None or column not in few.table or tuner is None:
        return {}
    rows = few.table[["annotator_id", column]].dropna().drop_duplicates("annotator_id")
    stand_ins: Sequence[str] = [stand_in(column, group_name(value)) for value in rows[column]]
    numbers = tuner.annotator_index(stand_ins).tolist()
    return {name: n for name, n in zip(rows["annotator_id"], numbers, strict=True) if n >= 0}
