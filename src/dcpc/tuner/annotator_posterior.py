"""What a few judgements say of one annotator: a normal posterior around the annotators of the training.

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

from dataclasses import dataclass

import torch
from torch import Tensor

from dcpc.tuner.annotators import AnnotatorEffects

STEPS, HALVINGS = 50, 30
"""At most so many Newton steps, and halvings of one that would make the fit worse."""
CONVERGED = 1e-6
"""Change of the objective, in nats, at which an annotator's fit ends."""
LEAST_VARIANCE = 1e-8
"""Of an axis of the preferences; along smaller ones the annotators of the training do not differ."""


@dataclass(frozen=True)
class Prior:
    """N(m, L Lᵀ) over preferences.

    Attributes:
        mean: m [K].
        scale: L [K,R].
    """

    mean: Tensor
    scale: Tensor

    @property
    def rank(self) -> int:
        """R, the number of axes along which annotators differ."""
        return self.scale.shape[1]

    @classmethod
    @torch.no_grad()
    def of(cls, effects: AnnotatorEffects) -> Prior:
        """Of an annotator of whom nothing is known: mean and covariance of the annotators of the training."""
        known = precise(effects.mean)  # [A,K]
        centre = known.mean(dim=0)
        return cls(centre, _root(_covariance(known - centre)))

    @torch.no_grad()
    def around(self, effects: AnnotatorEffects, group: int | None) -> Prior:
        """Of a member of a group, given by its index; of anybody where it is None.

        The covariance is that around the groups' means, and counts the one of anybody as a single further annotator:
        members whom the training found alike may still differ from a new one.
        """
        if group is None or effects.group_mean is None:
            return self
        within = _covariance(precise(effects.mean) - precise(effects.prior_mean()))
        size = effects.size
        covariance = (size * within + self.scale @ self.scale.T) / (size + 1)
        mean = precise(effects.group_mean[group - size])
        return Prior(mean, _root(covariance, self.rank))

    @torch.no_grad()
    def after(self, points: Tensor) -> Prior:
        """The posterior that the points [2R,K] of an earlier adaptation stand for."""
        mean = points.mean(dim=0)
        return Prior(mean, (points[: self.rank] - mean).T / self.rank**0.5)


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
    effects: AnnotatorEffects, prior: Prior, logits: Tensor, means: Tensor, labels: Tensor
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
    effects: AnnotatorEffects, prior: Prior, t: Tensor, logits: Tensor, means: Tensor, labels: Tensor
) -> Tensor:
    """Minus the log of likelihood and prior, but for a constant."""
    found = logits + _effect(effects, prior, t, means)
    own = found.log_softmax(dim=-1).gather(1, labels[:, None])
    return t.square().sum() / 2 - own.sum()


@torch.no_grad()
def _derivatives(
    effects: AnnotatorEffects, prior: Prior, t: Tensor, logits: Tensor, means: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradient [R] and Gauss-Newton curvature [R,R] of the objective: the latter is positive definite everywhere."""
    slopes = _slopes(effects, prior, t, means)  # [J,C,R]
    p = (logits + _effect(effects, prior, t, means)).softmax(dim=-1)  # [J,C]
    residual = p - torch.nn.functional.one_hot(labels, p.shape[1])  # [J,C]
    gradient = torch.einsum("jc,jcr->r", residual, slopes) + t
    mean = torch.einsum("jc,jcr->jr", p, slopes)
    spread = torch.einsum("jc,jcr,jcs->rs", p, slopes, slopes) - mean.T @ mean
    return gradient, spread + torch.eye(len(t), dtype=t.dtype)


def _effect(effects: AnnotatorEffects, prior: Prior, t: Tensor, means: Tensor) -> Tensor:
    """Effect [J,C] of the preference m + L t on the logits of items with style logits [J,K]."""
    style, direct = _matrices(effects)
    u = prior.mean + prior.scale @ t  # [K]
    shift = (means + u).softmax(dim=-1) - means.softmax(dim=-1)  # [J,K]
    return shift @ style + u @ direct


def _slopes(effects: AnnotatorEffects, prior: Prior, t: Tensor, means: Tensor) -> Tensor:
    """Derivative of `_effect` by t: ((diag q − q qᵀ) E + D)ᵀ L with q = softmax(μ̄ + u), [J,C,R]."""
    style, direct = _matrices(effects)
    q = (means + prior.mean + prior.scale @ t).softmax(dim=-1)  # [J,K]
    by_preference = q[:, :, None] * (style - (q @ style)[:, None]) + direct  # [J,K,C]
    return torch.einsum("jkc,kr->jcr", by_preference, prior.scale)


def _matrices(effects: AnnotatorEffects) -> tuple[Tensor, Tensor]:
    """E and D [K,C] as the fit takes them."""
    assert effects.style_effect is not None  # mode `output`
    assert effects.direct_effect is not None
    return precise(effects.style_effect), precise(effects.direct_effect)


def precise(tensor: Tensor) -> Tensor:
    """On the CPU, in double precision: the fits are small, and not every accelerator has doubles."""
    return tensor.detach().cpu().double()
