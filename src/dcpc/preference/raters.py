"""What sets raters apart when they compare two responses: random effects, shrunk to the group's or the pool's.

    own reward margin   m_a = m + s_a + (softmax(μ + u_a) − softmax(μ)) · V Δh        side, taste
    own thresholds      t_a = t + τ_a                                                 how soon they call a tie
    own votes           (1 − ε_a) p(vote | m_a, t_a) + ε_a p(mirror | m_a, t_a)       errors

m is the margin of one reward model, shared by all; Δh the difference of the responses' features. The pool (τ = s = 0,
u = 0, ε = ε_0) predicts for unknown raters without a group. A rater's effects are one vector with a normal prior.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dcpc.errors import ModelError, UsageError
from dcpc.preference.likelihood import (
    PreferenceScale,
    thresholds_of_shares,
    vote_log_probabilities,
    with_errors,
)
from dcpc.tuner.annotators import AnnotatorEffects

WEIGHTS, DESCRIPTION = "raters.safetensors", "raters.json"
RATERS_AT_ONCE = 64
"""In the mean over raters, so that many of them take no more memory than a batch."""


@dataclass(frozen=True)
class RaterConfig:
    """Which effects raters have. A standard deviation of 0 switches an effect off.

    Args:
        ties: of the tie thresholds τ_a, on the scale of log ν (Davidson) or of log d (ordinal).
        sides: of the advantage s_a that a rater gives side a, on the scale of the reward.
        errors: of the log-odds of ε_a. None: nobody errs, not even the pool.
        tastes: of u_a.
        styles: K, between which a rater's taste is a mixture; tastes need at least 2.
        ordinal: take the ordinal likelihood for a, tie and b too.
        dropout: probability, in training, that a rater is treated as unknown.
        error_rate: ε_0 at the start of a training, in which it is learned where there are errors. It is better high
            than low: from near 0 errors would hardly move, and a policy would learn wrong votes before they do.
    """

    ties: float = 1.0
    sides: float = 0.5
    errors: float | None = None
    tastes: float = 0.0
    styles: int = 4
    ordinal: bool = False
    dropout: float = 0.1
    error_rate: float = 0.3

    def __post_init__(self) -> None:
        for name in ("ties", "sides", "errors", "tastes"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise UsageError(f"{name} is {value}, and a standard deviation is 0 or more.")
        if self.tastes > 0 and self.styles < 2:
            raise UsageError(f"{self.styles} styles leave no choice between tastes.", fix="Give at least 2.")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"dropout is {self.dropout}, outside [0, 1).", fix="Give e.g. 0.1.")
        if not 0 < self.error_rate < 0.5:
            raise UsageError(f"error_rate is {self.error_rate}, outside (0, 0.5).", fix="Give e.g. 0.3.")

    @classmethod
    def none(cls, **changes: float | bool | None) -> RaterConfig:
        """All raters alike."""
        return cls(**{"ties": 0.0, "sides": 0.0, "errors": None, "tastes": 0.0, **changes})  # type: ignore[arg-type]

    @property
    def scales(self) -> list[float]:
        """Standard deviations of the E effects that are on, in their order: ties, sides, errors, K tastes."""
        single = [value for value in (self.ties, self.sides, self.errors or 0.0) if value > 0]
        return single + [self.tastes] * (self.styles if self.tastes > 0 else 0)


@dataclass(frozen=True)
class Comparison:
    """Responses of P pairs as a reward model sees them.

    Attributes:
        margin: reward(a) − reward(b) [P].
        features: features of a less those of b, which tastes weigh [P, H]; None without tastes.
    """

    margin: Tensor
    features: Tensor | None = None

    def mirrored(self) -> Comparison:
        """The same pairs with their sides swapped."""
        return Comparison(-self.margin, None if self.features is None else -self.features)

    def __getitem__(self, rows: Tensor) -> Comparison:
        """The pairs at the positions `rows`."""
        return Comparison(self.margin[rows], None if self.features is None else self.features[rows])


@dataclass(frozen=True)
class _Effects:
    """Effects of the raters of J votes; None for what is off."""

    ties: Tensor | None = None
    sides: Tensor | None = None
    errors: Tensor | None = None
    tastes: Tensor | None = field(default=None)


class RaterModel(nn.Module):
    """Log-probabilities of votes by known, unknown or no raters.

    Its numbers start at 0, where nobody has an effect.

    Args:
        raters: ids of the A raters; may be empty.
        labels: the votes, or their scale; see `PreferenceScale`.
        groups: group by rater id; raters that `raters` lacks fall back to their group.
        config: which effects.
        n_features: H, of `Comparison.features`; needed by tastes.
        n_trained: how many of the raters, the first ones, the training saw; None for all. They are the population.

    Attributes:
        precision: what is known of the effects of the N raters whom it did not see, as inverse covariances around
            their means [N, E, E]; see `dcpc.preference.new_raters`.
    """

    scales: Tensor
    feature_scale: Tensor
    precision: Tensor

    def __init__(
        self,
        raters: Sequence[str],
        labels: Sequence[str] | PreferenceScale,
        groups: Mapping[str, str] | None = None,
        config: RaterConfig | None = None,
        n_features: int | None = None,
        n_trained: int | None = None,
    ) -> None:
        super().__init__()
        self.config = config or RaterConfig()
        self.scale = labels if isinstance(labels, PreferenceScale) else PreferenceScale(tuple(labels))
        self.raters, self.groups, self.n_features = list(raters), dict(groups or {}), n_features
        self.n_trained = len(self.raters) if n_trained is None else n_trained
        self.thresholds = nn.Parameter(torch.zeros(self.scale.n_cutpoints))  # t [T]
        self.thresholds.requires_grad_(self.scale.n_cutpoints > 0)  # votes for a and b alone have none
        has_errors = self.config.errors is not None
        self.error_log_odds = (
            nn.Parameter(torch.tensor(self.config.error_rate).logit()) if has_errors else None
        )  # ε_0
        self.register_buffer("scales", torch.tensor(self.config.scales), persistent=False)  # [E]
        n_effects = len(self.config.scales)
        learned = torch.zeros(len(self.raters) - self.n_trained, n_effects, n_effects)
        self.register_buffer("precision", learned)
        self.effects: AnnotatorEffects | None = None
        if self.raters and self.config.scales:
            self.effects = AnnotatorEffects(
                self.raters,
                self.groups or None,
                num_styles=len(self.config.scales),
                num_labels=None,
                dropout=self.config.dropout,
                prior_std=1.0,
            )
        self.styles: nn.Parameter | None = None
        self.mixture: nn.Parameter | None = None
        if self.config.tastes > 0:
            if n_features is None:
                raise UsageError(
                    "tastes weigh features of the responses.", fix="Give n_features, or tastes=0."
                )
            # At the scale at which u ~ N(0, 1) moves the margin of unit features by about one.
            self.styles = nn.Parameter(
                torch.randn(self.config.styles, n_features) * n_features**-0.5
            )  # V [K,H]
            self.mixture = nn.Parameter(torch.zeros(self.config.styles))  # μ [K]
            self.register_buffer("feature_scale", torch.ones(n_features))  # [H], what Δh is divided by

    def index(self, ids: Sequence[str]) -> Tensor:
        """Numbers [J] of raters; an unknown one is their group's number, or −1, the pool."""
        if self.effects is None:
            return torch.full((len(ids),), -1, dtype=torch.long, device=self.thresholds.device)
        return self.effects.index(ids)

    def forward(
        self,
        pairs: Comparison,
        raters: Tensor | None = None,
        item_index: Tensor | None = None,
        *,
        sides: bool = True,
    ) -> Tensor:
        """Log-probabilities of votes.

        Args:
            pairs: P pairs.
            raters: numbers of the raters of J votes [J], see `index`; None for the pool's votes on all pairs.
            item_index: pair of each vote [J]; None where J = P, in the same order.
            sides: False leaves out what raters give side a ahead, so that swapping the sides mirrors the votes.

        Returns:
            [J, C], or [P, C] without raters.
        """
        if raters is not None and item_index is not None:
            pairs = pairs[item_index]
        found = self._effects(raters)
        margin = pairs.margin.float()
        if found.sides is not None and sides:
            margin = margin + found.sides
        if found.tastes is not None:
            margin = margin + self._taste(found.tastes, pairs)
        thresholds = self.thresholds.expand(*margin.shape, -1)
        if found.ties is not None:
            thresholds = thresholds + found.ties.unsqueeze(-1)
        votes = vote_log_probabilities(margin, self.scale, thresholds, ordinal=self.config.ordinal)
        if self.error_log_odds is None:
            return votes
        odds = self.error_log_odds if found.errors is None else self.error_log_odds + found.errors
        return with_errors(votes, self.scale, odds.expand(margin.shape))

    def population(self, pairs: Comparison) -> Tensor:
        """Log of the mean vote distribution over the raters of the training, without their sides [P, C].

        With the sides swapped it is that of the mirrored votes. Without raters, or effects, it is the pool's.
        """
        if self.effects is None:
            return self(pairs)
        n_pairs, n_votes = len(pairs.margin), len(self.scale.labels)
        total = pairs.margin.new_zeros(n_pairs, n_votes)
        rows = torch.arange(n_pairs, device=pairs.margin.device)
        for some in torch.arange(self.n_trained, device=rows.device).split(RATERS_AT_ONCE):
            log_p = self(pairs, some.repeat(n_pairs), rows.repeat_interleave(len(some)), sides=False)
            total = total + log_p.exp().unflatten(0, (n_pairs, len(some))).sum(dim=1)  # [P, C]
        return (total / self.n_trained).clamp_min(1e-12).log()

    @torch.no_grad()
    def start(self, counts: Sequence[float]) -> None:
        """Set the pool's thresholds to what votes between equal responses would have, given all votes [C]."""
        shares = [float(number) + 1.0 for number in counts]  # no vote is impossible
        found = thresholds_of_shares(shares, self.scale, ordinal=self.config.ordinal)
        self.thresholds.copy_(torch.tensor(found))

    def kl(self) -> Tensor:
        """KL of the raters' posteriors to their priors, summed over raters: a scalar, in nats."""
        return self.thresholds.new_zeros(()) if self.effects is None else self.effects.kl()

    def _effects(self, raters: Tensor | None) -> _Effects:
        if self.effects is None or raters is None:
            return _Effects()
        columns = list((self.effects(raters) * self.scales).unbind(dim=-1))  # E of [J]
        take = {"ties": self.config.ties, "sides": self.config.sides, "errors": self.config.errors or 0.0}
        single = {name: columns.pop(0) for name, std in take.items() if std > 0}
        return _Effects(**single, tastes=torch.stack(columns, dim=-1) if columns else None)

    def _taste(self, tastes: Tensor, pairs: Comparison) -> Tensor:
        """(softmax(μ + u_a) − softmax(μ)) · V Δh, [J]."""
        if pairs.features is None:
            raise UsageError("tastes weigh features of the responses, and there are none.")
        return (self._weights(tastes) * self._style_rewards(pairs.features)).sum(dim=-1)

    def _weights(self, tastes: Tensor) -> Tensor:
        """softmax(μ + u) − softmax(μ), [..., K]: how much more of each style a rater likes than the pool does."""
        assert self.mixture is not None
        return (self.mixture + tastes).softmax(dim=-1) - self.mixture.softmax(dim=-1)

    def _style_rewards(self, features: Tensor) -> Tensor:
        """V h, [..., K]: what each style gives responses."""
        assert self.styles is not None
        return (features.float() / self.feature_scale) @ self.styles.T

    def tastes_of_responses(self, features: Tensor) -> Tensor:
        """What each rater's own taste adds to the reward of single responses.

            r_a(x) = r(x) + (softmax(μ + u_a) − softmax(μ)) · V h(x)

        The difference between two responses is the rater's own margin, without what they give a side.

        Args:
            features: of R responses [R, H].

        Returns:
            [R, A], in the order of `raters`.

        Raises:
            UsageError: raters have no tastes here.
        """
        if self.effects is None or self.styles is None:
            raise UsageError(
                "raters have no tastes in this adapter: they differ in how soon they call a tie, or in the side they "
                "lean to, and give every response the same reward.",
                fix="Leave --as annotators out, or train on votes of two raters or more with --set tastes=0.5.",
            )
        own = self._effects(torch.arange(len(self.raters), device=features.device)).tastes  # [A, K]
        assert own is not None  # as there are styles
        return self._style_rewards(features) @ self._weights(own).T

    def save(self, folder: Path) -> None:
        """Write `raters.safetensors` and `raters.json`."""
        save_file({name: value.contiguous() for name, value in self.state_dict().items()}, folder / WEIGHTS)
        described = {
            "raters": self.raters,
            "labels": list(self.scale.labels),
            "heights": None if self.scale.heights is None else list(self.scale.heights),
            "groups": self.groups,
            "config": asdict(self.config),
            "n_features": self.n_features,
            "n_trained": self.n_trained,
        }
        text = json.dumps(described, indent=2, ensure_ascii=False)
        (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> RaterModel:
        """Read what `save` wrote.

        Raises:
            ModelError: a file is missing or unreadable.
        """
        try:
            described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
            heights = described.pop("heights")
            scale = PreferenceScale(tuple(described["labels"]), None if heights is None else tuple(heights))
            model = cls(**{**described, "labels": scale, "config": RaterConfig(**described["config"])})
            model.load_state_dict(load_file(folder / WEIGHTS))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise ModelError(
                f"the raters cannot be read ({' '.join(str(error).split())[:200]}).",
                where=folder / DESCRIPTION,
                fix="Copy the whole folder again, or train again.",
            ) from error
        return model.eval()
