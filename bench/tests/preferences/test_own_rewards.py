"""Raters with rewards of their own: each of the three forms learns what camps of opposite tastes like."""

from __future__ import annotations

import pytest
import torch

from dcpc.preference import Comparison, PreferenceScale, RaterConfig, RaterModel
from dcpc_bench.preferences.own_rewards import Basis, Encoded, Kind, Prototypes

NAMES = [f"r{number}" for number in range(8)]
WIDTH, PAIRS = 6, 60


def camps() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features of pairs [P, H], and raters, pairs and votes [J]: half of the raters want the opposite of the rest."""
    torch.manual_seed(0)
    features = torch.randn(PAIRS, WIDTH)
    rater, pair = torch.arange(len(NAMES)).repeat(PAIRS), torch.arange(PAIRS).repeat_interleave(len(NAMES))
    liked = features[pair, 0] * torch.where(rater < 4, 1.0, -1.0)
    return features, rater, pair, (liked < 0).long()


def fitted(kind: Kind) -> tuple[RaterModel, float]:
    """The raters trained on votes, and their mean loss on other ones; the shared reward says nothing."""
    features, rater, pair, votes = camps()
    config = RaterConfig.none(tastes=1.0, styles=4, dropout=0.0)
    raters = kind(NAMES, PreferenceScale(("a", "b")), config, WIDTH)
    known = pair < PAIRS // 2
    if isinstance(raters, Encoded):
        sign = torch.where(votes[known] == 0, 1.0, -1.0)
        raters.effects.remember(features[pair[known]], sign, rater[known])
    moving = [tensor for tensor in raters.parameters() if tensor.requires_grad]
    optimizer = torch.optim.Adam(moving, lr=0.03)

    def loss(rows: torch.Tensor) -> torch.Tensor:
        pairs = Comparison(torch.zeros(PAIRS), features)
        return -raters(pairs, rater[rows], pair[rows]).gather(1, votes[rows, None]).mean()

    for _ in range(150):
        optimizer.zero_grad()
        (loss(known) + raters.kl() / known.sum()).backward()
        assert all(tensor.grad is not None for tensor in moving), "what trains is used"
        optimizer.step()
    raters.eval()
    return raters, float(loss(~known).detach())


@pytest.mark.parametrize("kind", [Prototypes, Basis, Encoded])
def test_opposite_tastes_are_learned_and_an_unknown_rater_has_the_shared_reward(kind: Kind) -> None:
    raters, loss = fitted(kind)
    assert loss < 0.4, "0.693 is what a reward that all share comes to"
    features = camps()[0]
    unknown = raters(Comparison(torch.zeros(PAIRS), features), raters.index(["nobody"] * PAIRS))
    assert torch.allclose(unknown.exp(), torch.full_like(unknown, 0.5))


def test_the_rewards_of_responses_differ_by_the_margins_of_their_raters() -> None:
    raters, _ = fitted(Basis)
    first, second = torch.randn(2, 5, WIDTH)
    own = raters.tastes_of_responses(first) - raters.tastes_of_responses(second)  # [5, A]
    log_p = raters(
        Comparison(torch.zeros(5), first - second),
        torch.arange(8).repeat(5),
        torch.arange(5).repeat_interleave(8),
    )
    assert torch.allclose((log_p[:, 0] - log_p[:, 1]).view(5, 8), own, atol=1e-4)
