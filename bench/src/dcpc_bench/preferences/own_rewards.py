"""Raters with rewards of their own on a trained encoder: PAL, LoRe and VPL, each trained jointly with it.

    m_a = m + Σ_k c_ak v_k · Δh      the shared reward, and K rewards on the last states, weighed by each rater

    PAL-like     c_a = softmax(μ + u_a) − softmax(μ): a mixture of K prototypes v̄_k = w + v_k − Σ_l softmax(μ)_l v_l
    LoRe-like    c_a = u_a: a basis, weighed freely
    VPL-like     c_a ~ q(z | votes of a): the weights are encoded from all training votes of the rater

The first two have an effect u_a per rater, as random effects of the library; the third has an encoder of votes in
their place. All three have the pool's threshold of ties and no other effect, and a rater who is unknown has c = 0.
They are the published ideas on our encoder and likelihood, not their authors' code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from dcpc.data import Annotations
from dcpc.preference import PreferenceScale, RaterConfig, RaterModel
from dcpc.preference.rule import PreferRule
from dcpc.tasks import Prefer
from dcpc.training.dataset import ItemDataset
from dcpc.training.rule import Batch, tokens_of

STYLES, HIDDEN = 4, 64


class Prototypes(RaterModel):
    """PAL-like: the mixture of the library's tastes is one of prototypes (Chen et al. 2024, arXiv:2406.08469)."""

    def __init__(self, names: Sequence[str], scale: PreferenceScale, config: RaterConfig, width: int) -> None:
        super().__init__(names, scale, None, config, width)


class Basis(RaterModel):
    """LoRe-like: what a rater weighs the rewards by is free (Bose et al. 2025, arXiv:2504.14439)."""

    def __init__(self, names: Sequence[str], scale: PreferenceScale, config: RaterConfig, width: int) -> None:
        super().__init__(names, scale, None, config, width)
        self.mixture = None  # of prototypes; a basis has none

    def _weights(self, tastes: Tensor) -> Tensor:
        return tastes


class Encoded(Basis):
    """VPL-like: weights are encoded from a rater's votes (Poddar et al. 2024, arXiv:2408.10075)."""

    effects: VotesEncoder  # type: ignore[assignment]

    def __init__(self, names: Sequence[str], scale: PreferenceScale, config: RaterConfig, width: int) -> None:
        super().__init__(names, scale, config, width)
        self.effects = VotesEncoder(names, config, width)


class VotesEncoder(nn.Module):
    """q(z_a) = N(mean, std²) of each rater's weights from the votes that it remembers, with the prior N(0, 1).

    A vote is the difference of the frozen features of the response that was preferred and of the other, or the
    absolute difference and a mark where it is a tie; a rater's votes are averaged. As in VPL the features are those
    of the untrained encoder.
    """

    features: Tensor
    rater: Tensor

    def __init__(self, names: Sequence[str], config: RaterConfig, width: int) -> None:
        super().__init__()
        self._index = {name: number for number, name in enumerate(names)}
        self.dropout = config.dropout
        self.read = nn.Sequential(nn.Linear(width + 1, HIDDEN), nn.Tanh())
        self.told = nn.Linear(HIDDEN, 2 * config.styles)
        nn.init.zeros_(self.told.weight)
        self.register_buffer("features", torch.zeros(0, width + 1), persistent=False)  # [J, H + 1]
        self.register_buffer("rater", torch.zeros(0, dtype=torch.long), persistent=False)  # [J]

    def remember(self, difference: Tensor, sign: Tensor, rater: Tensor) -> None:
        """Take J votes as what is known of the raters.

        Args:
            difference: of the responses' features, a less b, scaled [J, H].
            sign: +1 for a, −1 for b, 0 for a tie [J].
            rater: numbers of the raters [J].
        """
        tie = (sign == 0)[:, None]
        turned = torch.where(tie, difference.abs(), difference * sign[:, None])
        self.features, self.rater = torch.cat([turned, tie.to(turned)], dim=1), rater

    def index(self, ids: Sequence[str]) -> Tensor:
        """Numbers [J] of raters, −1 for unknown ones."""
        return torch.tensor([self._index.get(name, -1) for name in ids], device=self.told.weight.device)

    def posterior(self) -> tuple[Tensor, Tensor]:
        """Means and logarithms of the standard deviations of all raters' weights, each [A, K]."""
        codes = self.read(self.features)  # [J, HIDDEN]
        sums = codes.new_zeros(len(self._index), codes.shape[1]).index_add(0, self.rater, codes)
        counts = torch.bincount(self.rater, minlength=len(self._index)).clamp(min=1)
        mean, log_std = self.told(sums / counts[:, None]).chunk(2, dim=1)
        return mean, log_std

    def forward(self, raters: Tensor) -> Tensor:
        """Weights [J, K]: a sample in training, else the mean; 0 for unknown raters."""
        mean, log_std = self.posterior()
        rows, known = raters.clamp(min=0), raters >= 0
        found = mean[rows]
        if self.training:
            found = found + log_std.exp()[rows] * torch.randn_like(found)
            known = known & (torch.rand_like(found[:, 0]) >= self.dropout)
        return torch.where(known[:, None], found, 0.0)

    def kl(self) -> Tensor:
        """KL of the posteriors to N(0, 1), summed over raters: a scalar, in nats."""
        mean, log_std = self.posterior()
        return (((2 * log_std).exp() + mean.square() - 1) / 2 - log_std).sum()


Kind = Callable[[Sequence[str], PreferenceScale, RaterConfig, int], RaterModel]


class OwnRewardRule(PreferRule):
    """Votes by raters with rewards of their own.

    Args:
        kind: what makes the raters' part.
        votes: to train on.
        std: standard deviation of the raters' effects; 1 where they are encoded.
        shape: gives the rewards.
    """

    def __init__(self, kind: Kind, votes: Annotations, std: float, shape: Prefer) -> None:
        config = RaterConfig.none(tastes=std, styles=STYLES, dropout=shape.rater_dropout)
        super().__init__(config, shape.scale(votes), list(votes.annotators), shape=shape)
        self.kind = kind

    def prepare(self, model: nn.Module, data: ItemDataset) -> None:
        """Make the raters, with the pool's threshold at what the votes' shares say."""
        width = int(model.config.get_text_config().hidden_size)  # type: ignore[union-attr, operator]
        self.raters = self.kind(self.names, self.scale, self.config, width)
        self.raters.start(data.annotations.counts.sum(axis=0).tolist())
        self.attach(model)
        self.begin(model, data)

    @torch.no_grad()
    def start_epoch(self, model: nn.Module, batches: Callable[[], Iterable[Batch]], epoch: float) -> None:
        """Scale the features, and let an encoder of votes read those of the untrained encoder."""
        super().start_epoch(model, batches, epoch)
        if epoch > 0 or not isinstance(self._raters, Encoded):
            return
        training = model.training
        model.eval()
        votes = []
        for batch in batches():
            found = self.compared(model, tokens_of(batch)).features
            assert found is not None  # tastes ask for them
            difference = (found / self._raters.feature_scale)[batch["item_index"]]
            sign = self._signs.to(difference.device)[batch["labels"]]
            votes.append((difference, sign, batch["annotator_ids"]))
        self._raters.effects.remember(*map(torch.cat, zip(*votes, strict=True)))
        model.train(training)

    def rater_numbers(self) -> list[nn.Parameter]:
        """Thresholds and effects of raters; weights on features train at the encoder's rate."""
        own = ("thresholds", "mixture", "effects.mean", "effects.log_std")
        found = self._raters.named_parameters()
        return [tensor for name, tensor in found if name in own and tensor.requires_grad]
