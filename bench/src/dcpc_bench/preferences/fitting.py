"""Fitting a method to votes a posteriori, choosing its setting on validation votes, and learning new raters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dcpc_bench.preferences.data import Votes
from dcpc_bench.preferences.methods import METHODS, VoteMethod

RIDGES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
STEPS = 60


def fitted(method: VoteMethod, votes: Votes, parameters: Sequence[nn.Parameter] | None = None) -> VoteMethod:
    """The method at the maximum of its posterior, by L-BFGS, stage by stage; or only `parameters`, in one."""
    stages = method.stages() if parameters is None else [(list(parameters), method.log_likelihood)]
    for moving, log_likelihood in stages:
        if moving:
            _maximise(method, votes, moving, log_likelihood)
    return method


def _maximise(
    method: VoteMethod,
    votes: Votes,
    moving: list[nn.Parameter],
    log_likelihood: Callable[[Votes], Tensor],
) -> None:
    optimizer = torch.optim.LBFGS(
        moving, max_iter=STEPS, line_search_fn="strong_wolfe", tolerance_change=1e-7
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (method.penalty() - log_likelihood(votes)) / max(len(votes), 1)
        loss.backward()
        return loss

    optimizer.step(closure)


@torch.no_grad()
def log_losses(method: VoteMethod, votes: Votes) -> tuple[np.ndarray, np.ndarray]:
    """Cross-entropy in nats of every vote [J], and whether the most probable vote was given [J]."""
    log_p = method(votes)
    loss = -log_p.gather(1, votes.vote[:, None]).squeeze(1)
    return loss.numpy(), (log_p.argmax(dim=1) == votes.vote).numpy()


def mean_loss(method: VoteMethod, votes: Votes) -> float:
    """Mean cross-entropy of votes, in nats."""
    return float(log_losses(method, votes)[0].mean())


def build(name: str, votes: Votes, ridge: float, setting: Mapping[str, Any]) -> VoteMethod:
    """A fresh method, in float64."""
    torch.manual_seed(0)
    return METHODS[name].build(votes, ridge, **setting).double()


def choose_ridge(train: Votes, validation: Votes) -> float:
    """The ridge with which raters who are all alike predict validation votes best; all methods take it."""
    losses = {r: mean_loss(fitted(build("bradley-terry", train, r, {}), train), validation) for r in RIDGES}
    return min(losses, key=lambda ridge: losses[ridge])


def choose_setting(name: str, train: Votes, validation: Votes, ridge: float) -> Mapping[str, Any]:
    """The setting that predicts validation votes best."""
    settings = METHODS[name].settings
    if len(settings) == 1:
        return settings[0]
    losses = [mean_loss(fitted(build(name, train, ridge, one), train), validation) for one in settings]
    return settings[int(np.argmin(losses))]


def learn_raters(method: VoteMethod, votes: Votes) -> VoteMethod:
    """The method with the effects of the votes' raters fitted to them, everything else held.

    Raters of whom there is no vote stay at the pool's.
    """
    personal = method.personal()
    return fitted(method, votes, personal) if len(votes) and personal else method
