"""Methods that predict votes from the features of two responses and from who votes.

Each is a module with `forward(votes)` → log-probabilities [J, C] and `penalty()`, its negative log-prior in nats; all
are fitted alike (`dcpc_bench.preferences.fitting`), in one stage or in several. `personal` are the parameters that a
new rater brings.

To add one, write a subclass of `VoteMethod` and enter it in `METHODS` with the settings that its search tries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dcpc.preference import Comparison, PreferenceScale, RaterConfig, RaterModel, vote_log_probabilities
from dcpc_bench.preferences.data import Votes

N_STYLES = 4
Stage = tuple[list[nn.Parameter], Callable[[Votes], Tensor]]
"""Parameters that move, and the log-likelihood that they move along."""


class VoteMethod(nn.Module):
    """A linear reward w on features, and thresholds for ties; raters are alike unless a subclass says otherwise.

    Args:
        votes: gives the sizes.
        ridge: precision of the normal prior of w.
    """

    def __init__(self, votes: Votes, ridge: float) -> None:
        super().__init__()
        self.ridge, self.scale = ridge, PreferenceScale(votes.labels)
        self.n_features, self.n_raters = votes.features.shape[1], len(votes.raters)
        self.weights = nn.Parameter(torch.zeros(self.n_features))  # w [H]
        self.thresholds = nn.Parameter(torch.zeros(self.scale.n_cutpoints))

    def margins(self, votes: Votes) -> Tensor:
        """Reward margins of J votes."""
        return (votes.features @ self.weights)[votes.pair]

    def forward(self, votes: Votes) -> Tensor:
        """Log-probabilities of all votes [J, C]."""
        margin = self.margins(votes)
        return vote_log_probabilities(margin, self.scale, self.thresholds.expand(len(margin), -1))

    def penalty(self) -> Tensor:
        """Negative log-prior, up to a constant."""
        return self.ridge / 2 * self.weights.square().sum()

    def log_likelihood(self, votes: Votes) -> Tensor:
        """Of the votes, summed: a scalar in nats."""
        return self(votes).gather(1, votes.vote[:, None]).sum()

    def stages(self) -> list[Stage]:
        """What is fitted, one after the other, and to what; by default everything at once to all votes."""
        return [([p for p in self.parameters() if p.requires_grad], self.log_likelihood)]

    def personal(self) -> list[nn.Parameter]:
        """Parameters [A, …] of single raters."""
        return []


class LongerAnswer(VoteMethod):
    """Length alone."""

    def margins(self, votes: Votes) -> Tensor:
        """The first weight times the first feature."""
        return (votes.features[:, 0] * self.weights[0])[votes.pair]


class RaterEffects(VoteMethod):
    """DCPC's `RaterModel` on the pool's reward: ties, sides, errors and tastes as `config` says, a posteriori."""

    def __init__(self, votes: Votes, ridge: float, config: RaterConfig) -> None:
        super().__init__(votes, ridge)
        self.raters = RaterModel(votes.raters, votes.labels, None, config, self.n_features).double().eval()
        if self.raters.effects is not None:
            self.raters.effects.log_std.requires_grad_(False)  # the mode, not the posterior
        self.thresholds = self.raters.thresholds

    def forward(self, votes: Votes) -> Tensor:
        """Votes by their raters."""
        margin = votes.features @ self.weights
        return self.raters(Comparison(margin, votes.features), votes.rater, votes.pair)

    def penalty(self) -> Tensor:
        """Of the reward, the styles and the raters."""
        styles = 0.0 if self.raters.styles is None else self.ridge / 2 * self.raters.styles.square().sum()
        effects = 0.0 if self.raters.effects is None else self.raters.effects.mean.square().sum() / 2
        return super().penalty() + styles + effects

    def personal(self) -> list[nn.Parameter]:
        """The raters' effects."""
        return [] if self.raters.effects is None else [self.raters.effects.mean]


class RatersAfterwards(RaterEffects):
    """The pool's reward and thresholds first, as if raters were all alike, and then their effects on it."""

    def stages(self) -> list[Stage]:
        """The reward by all votes with ties, then raters."""
        return [
            ([self.weights, self.thresholds], self.log_likelihood),
            ([*self.personal(), self.thresholds], self.log_likelihood),
        ]


class SidesThenRaters(RatersAfterwards):
    """As TRL's trainer has it: the reward by votes for a side alone, `−log σ(±m)`; ties and raters afterwards."""

    def stages(self) -> list[Stage]:
        """The reward by votes for a side, then raters and ties."""
        return [([self.weights], self.of_sides), *super().stages()[1:]]

    def of_sides(self, votes: Votes) -> Tensor:
        """Bradley and Terry's log-likelihood of the votes for a side."""
        sign = torch.tensor(self.scale.sign)[votes.vote]
        towards = (votes.features @ self.weights)[votes.pair] * sign
        return nn.functional.logsigmoid(towards[sign != 0]).sum()


class ShrunkSlopes(VoteMethod):
    """A reward per rater, shrunk to the pool's: w_a ~ N(w, std²) (as PEBS has it)."""

    def __init__(self, votes: Votes, ridge: float, std: float) -> None:
        super().__init__(votes, ridge)
        self.std = std
        self.own = nn.Parameter(torch.zeros(self.n_raters, self.n_features))  # (w_a − w) / std [A, H]

    def margins(self, votes: Votes) -> Tensor:
        """(w + std · own_a) · Δ."""
        features = votes.features[votes.pair]
        known = (votes.rater >= 0)[:, None]
        own = torch.where(known, self.own[votes.rater.clamp(min=0)], 0.0)
        return features @ self.weights + self.std * (features * own).sum(dim=1)

    def penalty(self) -> Tensor:
        """Of the pool's reward and of what raters differ from it."""
        return super().penalty() + self.own.square().sum() / 2

    def personal(self) -> list[nn.Parameter]:
        """What raters differ by."""
        return [self.own]


class HeadPerRater(ShrunkSlopes):
    """A reward per rater that knows nothing of the others; raters without votes get the pool's."""

    def __init__(self, votes: Votes, ridge: float, std: float) -> None:
        super().__init__(votes, ridge, std)
        voted = torch.zeros(self.n_raters, dtype=torch.bool)
        voted[votes.rater[votes.rater >= 0]] = True
        self.register_buffer("voted", voted)

    def margins(self, votes: Votes) -> Tensor:
        """std · own_a · Δ, where training saw rater a, and w · Δ elsewhere; w learns from all votes besides."""
        features = votes.features[votes.pair]
        who = votes.rater.clamp(min=0)
        own = self.std * (features * self.own[who]).sum(dim=1)
        known = (votes.rater >= 0) & self.voted[who]  # type: ignore[index]
        return torch.where(known, own, features @ self.weights)


class Prototypes(VoteMethod):
    """K rewards, of which each rater has a mixture: w_a = Σ_k softmax(v_a)_k w_k, v_a ~ N(v, std²) (after PAL).

    The prototypes start at the pool's zero with small differences; unknown raters have the mixture of v.
    """

    def __init__(self, votes: Votes, ridge: float, std: float) -> None:
        super().__init__(votes, ridge)
        self.std = std
        generator = torch.Generator().manual_seed(0)
        start = 0.1 * torch.randn(N_STYLES, self.n_features, generator=generator, dtype=torch.float64)
        self.prototypes = nn.Parameter(start)  # [K, H]
        self.mixture = nn.Parameter(torch.zeros(N_STYLES))  # v
        self.own = nn.Parameter(torch.zeros(self.n_raters, N_STYLES))  # (v_a − v) / std
        self.weights.requires_grad_(False)

    def margins(self, votes: Votes) -> Tensor:
        """The mixture of the prototypes' margins."""
        styles = (votes.features @ self.prototypes.T)[votes.pair]  # [J, K]
        own = torch.where((votes.rater >= 0)[:, None], self.own[votes.rater.clamp(min=0)], 0.0)
        return (styles * (self.mixture + self.std * own).softmax(dim=1)).sum(dim=1)

    def penalty(self) -> Tensor:
        """Of the prototypes and of the raters."""
        return self.ridge / 2 * self.prototypes.square().sum() + self.own.square().sum() / 2

    def personal(self) -> list[nn.Parameter]:
        """The raters' mixtures."""
        return [self.own]


class RewardBasis(VoteMethod):
    """K rewards, which each rater weighs freely: w_a = w + Σ_k c_ak b_k, c_a ~ N(0, std²) (LoRe, Bose et al. 2025).

    LoRe has no common w; with it a rater without votes has a reward, and the basis holds what raters differ in.
    """

    def __init__(self, votes: Votes, ridge: float, std: float) -> None:
        super().__init__(votes, ridge)
        self.std = std
        generator = torch.Generator().manual_seed(0)
        start = 0.3 * torch.randn(N_STYLES, self.n_features, generator=generator, dtype=torch.float64)
        self.basis = nn.Parameter(start)  # [K, H]
        self.own = nn.Parameter(torch.zeros(self.n_raters, N_STYLES))  # c_a / std

    def margins(self, votes: Votes) -> Tensor:
        """(w + c_a B) · Δ."""
        styles = (votes.features @ self.basis.T)[votes.pair]  # [J, K]
        own = torch.where((votes.rater >= 0)[:, None], self.own[votes.rater.clamp(min=0)], 0.0)
        return super().margins(votes) + self.std * (styles * own).sum(dim=1)

    def penalty(self) -> Tensor:
        """Of the reward, the basis and the raters."""
        return super().penalty() + self.ridge / 2 * self.basis.square().sum() + self.own.square().sum() / 2

    def personal(self) -> list[nn.Parameter]:
        """The raters' weights."""
        return [self.own]


@dataclass(frozen=True)
class Entry:
    """A method of the comparison.

    Attributes:
        title: in tables.
        source: whose it is.
        build: from votes, the ridge and a setting to a module.
        settings: what its search tries, besides the ridge that the pool's search has chosen.
    """

    title: str
    source: str
    build: Callable[..., VoteMethod]
    settings: tuple[Mapping[str, Any], ...] = ({},)


def _effects(
    votes: Votes, ridge: float, kind: type[RaterEffects] = RaterEffects, **config: Any
) -> VoteMethod:
    return kind(votes, ridge, RaterConfig.none(dropout=0.0, styles=N_STYLES, **config))


_STDS = ({"std": 0.03}, {"std": 0.1}, {"std": 0.3})

_TIES_AND_SIDES = ({"ties": 0.3}, {"ties": 0.7, "sides": 0.2}, {"ties": 1.2, "sides": 0.5})

METHODS: dict[str, Entry] = {
    "longer-answer": Entry("Longer answer", "floor", LongerAnswer),
    "bradley-terry": Entry("Bradley-Terry with ties", "Davidson 1970", VoteMethod),
    "crowd-bt": Entry(
        "Crowd-BT", "Chen et al. 2013", _effects, ({"errors": 0.5}, {"errors": 1.0}, {"errors": 1.5})
    ),
    "thresholds": Entry(
        "Tie threshold per rater", "", _effects, ({"ties": 0.3}, {"ties": 0.7}, {"ties": 1.2})
    ),
    "head-per-rater": Entry("Head per rater", "", HeadPerRater, ({"std": 0.1}, {"std": 0.3}, {"std": 1.0})),
    "shrunk-slopes": Entry("Slopes per rater, shrunk", "PEBS-like", ShrunkSlopes, _STDS),
    "prototypes": Entry(
        "Mixture of prototypes", "PAL-like", Prototypes, ({"std": 0.3}, {"std": 1.0}, {"std": 3.0})
    ),
    "reward-basis": Entry(
        "Reward basis", "LoRe-like", RewardBasis, ({"std": 0.1}, {"std": 0.3}, {"std": 1.0})
    ),
    "sides-then-raters": Entry(
        "Votes for a side, then raters",
        "as TRL's trainer",
        partial(_effects, kind=SidesThenRaters),
        _TIES_AND_SIDES,
    ),
    "raters-afterwards": Entry(
        "Bradley-Terry with ties, then raters",
        "",
        partial(_effects, kind=RatersAfterwards),
        _TIES_AND_SIDES,
    ),
    "dcpc": Entry(
        "DCPC: ties, sides, tastes",
        "this library",
        _effects,
        (
            *_TIES_AND_SIDES,
            {"ties": 0.7, "sides": 0.2, "tastes": 0.5},
            {"ties": 1.2, "sides": 0.5, "tastes": 1.0},
        ),
    ),
}
"""All methods by name."""
