"""Learning from votes between two responses: the likelihood of what each rater said, given the margin of rewards.

    L = −1/J Σ_j log p(vote_j | m, rater_j) + KL(raters ‖ prior) / J

Where a pair has shares of labels instead of votes, each label's term counts by its share, and J is that of pairs.

One pass over the responses of a batch serves all votes on them. The raters' numbers are no part of the adapter: the
reward model stays one that any tool loads, and they lie beside it in `raters.json` and `raters.safetensors`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dcpc import ranks
from dcpc.about import Figure, mean_over_items
from dcpc.data import Annotations
from dcpc.errors import UsageError
from dcpc.evaluation.votes import vote_figures
from dcpc.objective import ObjectiveConfig
from dcpc.preference.fitting import start_raters
from dcpc.preference.likelihood import PreferenceScale
from dcpc.preference.raters import Comparison, RaterConfig, RaterModel
from dcpc.preference.tally import MarginTally
from dcpc.tasks.prefer import Prefer
from dcpc.training.dataset import ItemDataset
from dcpc.training.predicted import Predicted, judged_loss
from dcpc.training.rule import Batch, LearningRule, tokens_of
from dcpc.training.step import StepOutput
from dcpc.training.whole import Whole
from dcpc.tuner.acting import dcpc_tuner

CHILD = "raters"
"""Name of the raters among the model's children, where the optimizer and the devices find them."""
FEATURE_FLOOR = 1e-6


class PreferRule(LearningRule):
    """Votes by their raters.

    Args:
        config: which effects raters have.
        scale: the votes that they can give.
        names: ids of the raters; empty where nothing tells them apart.
        groups: group by rater id.
        objective: gives the decay of averaged weights; its terms about pairs of items have no place here.
        shape: gives the rewards.

    Attributes:
        raters: what is learned of them; None before `prepare`.

    Raises:
        UsageError: the objective has terms that would have no effect.
    """

    shape: Prefer
    per_judgement = True

    def __init__(
        self,
        config: RaterConfig,
        scale: PreferenceScale,
        names: Sequence[str],
        groups: Mapping[str, str] | None = None,
        objective: ObjectiveConfig | None = None,
        *,
        shape: Prefer,
    ) -> None:
        if objective is not None and (objective.uses_pairs or objective.target_correction > 0):
            raise UsageError(
                "rewards are trained by the likelihood of votes; the objective's terms about pairs of items and "
                "target correction have no effect.",
                fix="Leave --preset paper and these settings out.",
            )
        self.config, self.scale, self.names = config, scale, list(names)
        self.groups, self.shape = groups, shape
        self.ema_decay = 0.0 if objective is None else objective.ema_decay
        self.raters: RaterModel | None = None
        self.n_votes, self.n_items = 0.0, 0
        self._scaled = False
        self._head: list[tuple[list[nn.Parameter], float]] = []
        self._signs = torch.tensor(scale.sign)
        self._seen = {True: MarginTally(), False: MarginTally()}

    # Training

    def prepare(self, model: nn.Module, data: ItemDataset) -> None:
        """Make the raters, and start them where they explain the votes as far as they can without any reward."""
        n_features = int(model.config.get_text_config().hidden_size) if self.config.tastes > 0 else None  # type: ignore[union-attr, operator]
        self.raters = RaterModel(self.names, self.scale, self.groups, self.config, n_features)
        start_raters(self.raters, data.annotations)
        self.attach(model)
        self.begin(model, data)

    def begin(self, model: nn.Module, data: ItemDataset) -> None:
        """Count the votes."""
        self.n_votes, self.n_items = data.annotations.n_votes, len(data)

    def attach(self, model: nn.Module) -> None:
        """Put the raters where the model is, so that they move and train with it; see to the reward's head."""
        assert self.raters is not None
        self.shape.hold_offset(model)
        self._head = self.shape.head_rates(model)
        model.add_module(CHILD, self.raters.to(next(model.parameters()).device))

    def take(self, raters: RaterModel, model: nn.Module) -> None:
        """Go on with other raters, as after an adaptation to new ones."""
        self.raters, self.names, self.groups = raters, raters.raters, raters.groups
        self.attach(model)

    def start_epoch(self, model: nn.Module, batches: Callable[[], Iterable[Batch]], epoch: float) -> None:
        """Before the first epoch: scale the features that tastes weigh by their root mean square."""
        if self.config.tastes == 0 or self._scaled or epoch > 0:
            return
        scale = self._raters.feature_scale
        training = model.training
        model.eval()
        with torch.no_grad():
            scale.copy_(self._feature_scale(model, batches))
        model.train(training)
        self._scaled = True

    def _feature_scale(self, model: nn.Module, batches: Callable[[], Iterable[Batch]]) -> Tensor:
        total, n = torch.zeros_like(self._raters.feature_scale), 0
        for batch, own in ranks.in_step(batches()):
            features = self.compared(model, tokens_of(batch)).features
            assert features is not None  # tastes ask for them
            if own:
                total, n = total + features.square().sum(dim=0), n + len(features)
        n_all, *sums = ranks.total([n, *total.tolist()])
        return (torch.tensor(sums) / max(n_all, 1)).sqrt().clamp(min=FEATURE_FLOOR).cpu()

    def loss(self, model: nn.Module, batch: Batch, epoch: float) -> StepOutput:
        """Loss of a batch of pairs with all their votes."""
        raters, n_pairs, whole = self._raters, len(batch["items"]), Whole.of(batch)
        pairs = self.compared(model, tokens_of(batch), whole)
        self._count(pairs, batch, training=True)
        log_p = raters(pairs, batch["annotator_ids"], batch["item_index"])  # [J, C]
        chosen = log_p.gather(1, batch["labels"][:, None])[:, 0]  # [J]
        if "weights" in batch:
            chosen = chosen * batch["weights"]
        # A pair with more votes says more: votes count alike, whatever batch they are in.
        terms = {"task": -whole.share * chosen.sum() / n_pairs * (self.n_items / self.n_votes)}
        if raters.effects is not None:
            terms["raters"] = raters.kl() / self.n_votes
        return StepOutput.of(terms, raters(Comparison(pairs.margin.detach(), _detached(pairs.features))))

    def own_rates(self) -> list[tuple[list[nn.Parameter], float]]:
        """The raters' numbers, which an adapter's rate would leave where they started, and the reward's head."""
        numbers = self.rater_numbers()
        return [*([(numbers, self.shape.rater_learning_rate)] if numbers else []), *self._head]

    def rater_numbers(self) -> list[nn.Parameter]:
        """What trains at the raters' rate."""
        return [tensor for tensor in self._raters.parameters() if tensor.requires_grad]

    # Prediction

    def annotator_names(self, model: nn.Module) -> list[str]:
        """Ids of the raters."""
        return list(self.names)

    def annotator_index(self, model: nn.Module, ids: Sequence[str]) -> Tensor | None:
        """Numbers [J] of raters, −1 for unknown ones; None where raters have no effects."""
        return None if self._raters.effects is None else self._raters.index(ids)

    def predict(
        self,
        model: nn.Module,
        tokens: Batch,
        annotators: Tensor | None = None,
        item_index: Tensor | None = None,
    ) -> Predicted:
        """Votes expected of all raters on B pairs, and of given ones; an unknown rater's are those of all."""
        return self._votes_on(self.compared(model, tokens), annotators, item_index)

    def _votes_on(self, pairs: Comparison, annotators: Tensor | None, item_index: Tensor | None) -> Predicted:
        items = self._raters.population(pairs)  # [B, C]
        if annotators is None or item_index is None:
            return Predicted(items)
        own = self._raters(pairs, annotators, item_index)  # [J, C]
        return Predicted(items, torch.where((annotators < 0)[:, None], items[item_index], own))

    @torch.no_grad()
    def validation_loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Loss of held-out votes, as anybody's and as their raters'; see `dcpc.training.predicted`."""
        pairs = self.compared(model, tokens_of(batch))
        self._count(pairs, batch, training=False)
        who = None if self._raters.effects is None else batch["annotator_ids"]
        predictions = self._votes_on(pairs, who, batch["item_index"])
        return judged_loss(predictions, batch, per_judgement=self.per_judgement)

    def _count(self, pairs: Comparison, batch: Batch, *, training: bool) -> None:
        signs = self._signs.to(pairs.margin.device)[batch["labels"]]  # [J]
        self._seen[training].add(pairs.margin[batch["item_index"]], signs, batch.get("weights"))

    def logged(self, *, training: bool) -> dict[str, float]:
        """`accuracy` and `margin`, as TRL's `RewardTrainer` logs them; see `dcpc.preference.tally`."""
        return self._seen[training].drained()

    def figures(
        self, items: np.ndarray, judgements: np.ndarray | None, annotations: Annotations
    ) -> dict[str, float]:
        """Figures per vote; see `dcpc.evaluation.votes`."""
        own = items[annotations.item_codes] if judgements is None else judgements
        return vote_figures(own, annotations.label_codes, self.scale.sign, annotations.weights)

    def held_out_figures(self, items: np.ndarray, held_out: Annotations) -> dict[str, Figure]:
        """Of the held-out votes for a side, how many are for the response with the higher reward."""
        signs = np.array(self.scale.sign)
        given = signs[held_out.label_codes]  # [J]
        lead = items[:, signs > 0].sum(axis=1) - items[:, signs < 0].sum(axis=1)  # [I], of the margin's sign
        towards, sided = lead[held_out.item_codes] * given, given != 0
        if not sided.any():
            return {}
        right = ((towards > 0) + (towards == 0) / 2)[sided]
        weights = None if held_out.weights is None else held_out.weights[sided]
        if weights is not None and not weights.sum():
            return {}
        found = mean_over_items(right, held_out.item_codes[sided], weights)
        if found.high is not None:
            found.high = min(found.high, 1.0)
        return {"held-out votes for a side that are for the response with the higher reward": found}

    def mirror(self) -> list[int]:
        """Position of each vote's mirror image: what decides for one must decide for the other."""
        return self.scale.mirror

    # What is kept

    def state(self) -> dict[str, Tensor]:
        """The raters, which are no part of the adapter's checkpoint."""
        return {f"raters.{name}": value for name, value in self._raters.state_dict().items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up the raters of a checkpoint."""
        self._raters.load_state_dict({name.removeprefix("raters."): value for name, value in state.items()})
        self._scaled = True

    def save(self, folder: Path) -> None:
        """Write the raters beside the adapter."""
        self._raters.save(folder)

    @classmethod
    def load(cls, folder: Path, shape: Prefer) -> PreferRule:
        """The rule of a saved adapter.

        Raises:
            ModelError: the raters' files are missing or unreadable.
        """
        raters = RaterModel.load(folder)
        rule = cls(raters.config, raters.scale, raters.raters, raters.groups, shape=shape)
        rule.raters = raters
        return rule

    @property
    def _raters(self) -> RaterModel:
        assert self.raters is not None  # prepared or loaded
        return self.raters

    def compared(self, model: nn.Module, tokens: Batch, whole: Whole | None = None) -> Comparison:
        """Margins of B pairs, and features where tastes weigh them; in training they may be a part of a `whole`."""
        options: dict[str, Any] = {}
        tuner = dcpc_tuner(model)
        config = None if tuner is None else tuner.active_config
        if model.training and config is not None and config.correction:
            # One ε for the batch: two sides must differ by their tokens, not by their noise.
            noise = torch.randn(1, config.num_styles, device=tokens["input_ids"].device)
            options["noise"] = noise if whole is None else whole.noise(noise)
        return self.shape.compared(model, tokens, features=self.config.tastes > 0, **options)


def _detached(features: Tensor | None) -> Tensor | None:
    return None if features is None else features.detach()
