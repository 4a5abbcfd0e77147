"""What a method of the benchmark is: one record, with all that is said of it anywhere, and how it is trained once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dcpc.data.annotations import Annotations
from dcpc.errors import UsageError
from dcpc_bench.fitted import Fitted, FittedAdapter
from dcpc_bench.rig.suite import Backbone, Training

if TYPE_CHECKING:
    from dcpc.training.carriers import Carrier
    from dcpc.training.rule import LearningRule

Setting = Mapping[str, Any]
"""One point of a method's grid."""
Grid = dict[str, tuple[Any, ...]]
"""Values of every searched axis, from weak to strong."""

SMALL_RATES = (5e-6, 2e-5, 7e-5, 3e-4, 1e-3)
"""Full fine-tuning."""
MIDDLE_RATES = (2e-4, 1e-3, 4e-3, 1.5e-2, 6e-2)
"""Adapters with weights of their own: low-rank, bottleneck, prefixes, DCPC; biases."""
LARGE_RATES = (1e-3, 5e-3, 2e-2, 8e-2, 3e-1)
"""Few numbers that act everywhere: scaling vectors and prompts."""
DECAYS = (0.0, 0.3, 3.0)
"""AdamW shrinks weights by (learning rate · weight decay) per step: values below 0.1 do nothing in a training of a
few hundred steps, and the product has to stay well below 1."""


def grid(rates: tuple[float, ...] = MIDDLE_RATES, **axes: tuple[Any, ...]) -> Grid:
    """Five learning rates over two and a half orders of magnitude, three weight decays, and a method's own axes.

    All methods whose rates are of the same size are tried at the same points, so that none is compared with a badly
    tuned one.
    """
    return {"learning_rate": rates, "weight_decay": DECAYS, **axes}


class TrainingSettings(Training):
    """What all methods of a benchmark share: the suite's `training`, its `backbone`, and the data set's `task`."""

    backbone: Backbone = "lora"
    task: dict[str, Any] | None = None

    @property
    def autocasts(self) -> bool:
        """Whether trainings on this machine run under bfloat16."""
        from dcpc.training.precision import computes_bf16

        return self.bf16 and computes_bf16()

    @property
    def precision(self) -> str:
        """Of trainings on this machine."""
        return "bf16" if self.autocasts else "float32"


RuleOf = Callable[[TrainingSettings, Setting, int], "LearningRule"]
"""Makes a learning rule from what is shared, the method's setting, and the seed."""
FitOf = Callable[[Annotations, Annotations, TrainingSettings, int], Fitted]
"""Fits a method that is no network, from training and validation judgements, what is shared, and the seed."""


@dataclass(frozen=True)
class Method:
    """A method that can be trained and compared.

    Attributes:
        name: as in suites and tables; that of its file, with `-` for `_`.
        source: authors and year.
        what: in one line, what sets it apart.
        carrier: what trains: a carrier or the name of one that `dcpc` knows; `backbone` for that of the suite.
        rule: makes its learning rule; None for the objective of `training` (for other carriers than DCPC: plain
            cross-entropy, where each item weighs the same).
        fit: for a method that trains no network: fits it, instead of carrier and rule; `carrier` is `prompt` where
            it acts by what the model reads.
        grid: values of every searched axis; empty where the method brings its own search.
        training: fields of `DCPCTrainingArguments` that belong to the method.
        adapter: settings of the carrier that belong to it.
        needs_annotators: it has to know who judged, and needs two of them.
        needs_overlap: some items need two judgements or more.
        needs_reader: the base model has to be a causal language model that answers with words or candidates.
        searched_as: method whose search chooses its setting: a method without one of its parts is trained as the
            whole; None for a search of its own.
    """

    name: str
    source: str
    what: str
    carrier: Carrier | str = "backbone"
    rule: RuleOf | None = None
    fit: FitOf | None = None
    grid: Grid = field(default_factory=grid)
    training: Mapping[str, Any] = field(default_factory=dict)
    adapter: Mapping[str, Any] = field(default_factory=dict)
    needs_annotators: bool = False
    needs_overlap: bool = False
    needs_reader: bool = False
    searched_as: str | None = None

    @property
    def on(self) -> str:
        """What it trains on, for tables: a carrier's name, `backbone`, `frozen features`, or `prompt`."""
        if self.fit is not None and self.carrier == "backbone":
            return "frozen features"
        return self.carrier if isinstance(self.carrier, str) else self.carrier.name

    def check(self, train: Annotations) -> None:
        """Make sure that the method can be trained on these judgements.

        Raises:
            UsageError: they lack annotator ids, a second annotator, or items that were judged twice.
        """
        if self.needs_annotators and len(train.annotators) < 2:
            found = f"{len(train.annotators)} named" if train.has_annotators else "none named"
            raise UsageError(
                f"{self.name} compares annotators and needs two or more; there are {found}.",
                where=train.source,
                fix="Name the column of the annotator ids, or leave this method out.",
            )
        if self.needs_overlap and train.counts.sum(axis=1).max(initial=0) < 2:
            raise UsageError(
                f"{self.name} needs items with two judgements or more, and here every item has one.",
                where=train.source,
                fix="Train on all annotations, or leave this method out.",
            )

    def train(
        self,
        train: Annotations,
        validation: Annotations,
        settings: TrainingSettings,
        setting: Setting,
        seed: int,
    ) -> Fitted:
        """Train once.

        Args:
            train: judgements to train on.
            validation: noisy judgements of other items, which choose the epoch.
            settings: what all methods share.
            setting: a point of the method's grid; axes that are left out keep their defaults.
            seed: of starting weights, order and noise.

        Raises:
            UsageError: the method does not fit the judgements.
            TrainingError: the loss diverged.
        """
        import torch

        self.check(train)
        torch.set_num_threads(settings.threads)
        if self.fit is not None:
            return self.fit(train, validation, settings, seed)
        return FittedAdapter(self._trained(train, validation, settings, setting, seed))

    def _trained(
        self,
        train: Annotations,
        validation: Annotations,
        settings: TrainingSettings,
        setting: Setting,
        seed: int,
    ) -> Any:
        from dcpc.fit import train_adapter
        from dcpc_bench.methods import METHODS

        on = METHODS[settings.backbone] if self.carrier == "backbone" else self
        rates = {name: setting[name] for name in ("learning_rate", "weight_decay") if name in setting}
        return train_adapter(
            train,
            validation,
            base_model=settings.base_model,
            task=settings.task,
            method=on.carrier,
            adapter={**on.adapter, **self.adapter},
            training={
                **self.training,
                **rates,
                "seed": seed,
                "num_train_epochs": settings.epochs,
                "per_device_train_batch_size": settings.batch_size,
                "bf16": settings.autocasts,
                "train_sampling_strategy": "group_by_length" if settings.group_by_length else "random",
            },
            rule=None if self.rule is None else self.rule(settings, setting, seed),
            base_options={} if settings.attention is None else {"attn_implementation": settings.attention},
            max_length=settings.max_length,
            progress=False,
        )
