"""Noise-aware routing after CleaR (Kim, Kim, Lee 2024, "Towards Robust and Generalized Parameter-Efficient
Fine-Tuning for Noisy Label Learning", ACL): the adapter sees an item as far as its label is believed clean.

Before every epoch after the warm-up, all training items are predicted; a mixture of two Gaussians over their
losses gives the probability c_i that label i is clean, the responsibility of the component with the lower mean
(as in DivideMix, Li et al. 2020). In training, the adapter of every layer acts on item i with probability u·c_i,
u = 0.9 (u alone in the warm-up), and

    L = CE(y_i, p_i) + λ CE(p̄_i, p_i)

holds the prediction to p̄, the mean over two routed passes at the start of the epoch. At prediction every adapter
acts. That much follows the authors' code, in which λ = 1.

Ours: λ is searched; the warm-up is one epoch where theirs is 3 of 20, because trainings here are short; labels
may be shares of votes; on a prefix all layers of an item are routed together, since PEFT's prefix has one mask.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dcpc.errors import UsageError
from dcpc.training.dataset import ItemDataset
from dcpc.training.rule import Batch, LearningRule, tokens_of, votes_of
from dcpc.training.step import StepOutput
from dcpc_bench.method import Method, grid

MOST = 0.9
"""u: even a clean item passes a layer's adapter by this often only."""
PASSES = 2
"""Routed passes that p̄ averages."""


class CleanRouting(LearningRule):
    """See the module's description.

    Args:
        strength: λ, weight of the consistency.
        warmup_epochs: epochs before labels are doubted.
        seed: of the routing, which has a generator of its own so that the order of the data does not depend on it.
    """

    def __init__(self, strength: float = 1.0, warmup_epochs: float = 1.0, seed: int = 0) -> None:
        self.strength, self.warmup_epochs = strength, warmup_epochs
        self.generator = torch.Generator().manual_seed(seed)
        self.masks: list[Tensor] | None = None

    def prepare(self, model: nn.Module, data: ItemDataset) -> None:
        """Install the routing.

        Raises:
            UsageError: the adapter is neither low-rank nor a prefix.
        """
        self.clean = torch.ones(len(data))  # [I]
        self.teacher = torch.zeros(len(data), data.annotations.n_classes)  # [I, C]
        self.n_groups = _install(model, self)

    def start_epoch(self, model: nn.Module, batches: Callable[[], Iterable[Batch]], epoch: float) -> None:
        """Estimate which labels are clean, and what the model says at this point."""
        if epoch < self.warmup_epochs:
            return
        losses = torch.zeros(len(self.clean))
        model.eval()
        with torch.no_grad():
            for batch in batches():
                items, n_classes = batch["items"].cpu(), self.teacher.shape[1]
                logits = torch.stack([self._routed(model, batch, None) for _ in range(PASSES)]).mean(dim=0)
                targets = votes_of(batch, n_classes)
                losses[items] = cross_entropy(logits, targets, reduction="none").cpu()
                self.teacher[items] = logits.softmax(dim=-1).cpu()
        model.train()
        self.clean = torch.from_numpy(clean_probabilities(losses.numpy()))

    def loss(self, model: nn.Module, batch: Batch, epoch: float) -> StepOutput:
        """Loss of a batch, routed."""
        doubted = epoch >= self.warmup_epochs
        items = batch["items"].cpu()
        logits = self._routed(model, batch, self.clean[items] if doubted else None)
        terms = {"task": cross_entropy(logits, votes_of(batch, logits.shape[-1]))}
        if doubted:
            taught = cross_entropy(logits, self.teacher[items].to(logits))
            terms["consistency"] = self.strength * taught
        return StepOutput.of(terms, logits)

    def state(self) -> dict[str, Tensor]:
        """What is believed clean, the teacher, and the state of the routing's generator."""
        return {"clean": self.clean, "teacher": self.teacher, "routing": self.generator.get_state()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up a checkpoint's state."""
        self.clean, self.teacher = state["clean"].clone(), state["teacher"].clone()
        self.generator.set_state(state["routing"])

    def _routed(self, model: nn.Module, batch: Batch, clean: Tensor | None) -> Tensor:
        """Logits [B, C] of a pass in which each adapter acts with probability u·c (c = 1 for None)."""
        n_items = len(batch["items"])
        probability = MOST * (torch.ones(n_items) if clean is None else clean)
        drawn = torch.rand(self.n_groups, n_items, generator=self.generator) < probability
        self.masks = list(drawn.to(batch["items"].device).float())
        try:
            return model(**tokens_of(batch)).logits.float()
        finally:
            self.masks = None


def clean_probabilities(losses: np.ndarray) -> np.ndarray:
    """Probability of each item that its label is clean, float32 [I]: the mixture's component of lower mean.

    Losses that hardly differ say nothing: all count as clean.
    """
    if losses.std() < 1e-6:
        return np.ones(len(losses), dtype=np.float32)
    column = losses.astype(np.float64)[:, None]
    mixture = GaussianMixture(n_components=2, random_state=0).fit(column)
    return mixture.predict_proba(column)[:, mixture.means_.ravel().argmin()].astype(np.float32)


def _install(model: nn.Module, rule: CleanRouting) -> int:
    """Let the adapter's modules act where the rule's masks say; returns the number of separately routed groups."""
    if isinstance(model, PeftModel) and model.active_peft_config.is_prompt_learning:
        length = model.active_peft_config.num_virtual_tokens
        # PEFT calls some classifiers, and of others (BERT's) only this backbone.
        backbone = model.get_base_model().get_submodule(model.transformer_backbone_name)
        backbone.register_forward_pre_hook(_hide_prefix(rule, length), with_kwargs=True)
        return 1
    factors = {n: m for n, m in model.named_modules() if re.search(r"\.lora_B\.[^.]+$", n)}
    if not factors:
        raise UsageError("clean routing acts on low-rank adapters and prefixes", fix="Train it on LoRA.")
    # All factors of one layer share a mask: what is before the layer's number in a path, and that number.
    layers = {name: (re.match(r".*?\.\d+(?=\.)", name) or [name])[0] for name in factors}
    groups = {layer: number for number, layer in enumerate(dict.fromkeys(layers.values()))}
    for name, factor in factors.items():
        factor.register_forward_hook(_scale(rule, groups[layers[name]]))
    return len(groups)


def _scale(rule: CleanRouting, group: int) -> Callable[..., Tensor | None]:
    def hook(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        if rule.masks is None:
            return None
        return output * rule.masks[group].view(-1, *[1] * (output.ndim - 1)).to(output.dtype)

    return hook


def _hide_prefix(rule: CleanRouting, length: int) -> Callable[..., Any]:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if rule.masks is None:
            return None
        mask = kwargs["attention_mask"].clone()  # [B, m + n]
        mask[:, :length] *= rule.masks[0][:, None].to(mask.dtype)
        return args, {**kwargs, "attention_mask": mask}

    return hook


METHOD = Method(
    "clear",
    "Kim et al. 2024",
    "the adapter acts as far as a label is believed clean",
    rule=lambda _, setting, seed: CleanRouting(setting.get("strength", 1.0), seed=seed),
    grid=grid(strength=(0.3, 1.0, 3.0)),
)
