"""The configuration of a DCPC adapter: what `adapter_config.json` holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from peft import PeftConfig

from dcpc.errors import UsageError


class DCPCType(StrEnum):
    """The method's name among PEFT's, whose own enumeration is closed; an enumeration too, as PEFT reads `.value`."""

    DCPC = "DCPC"


PEFT_TYPE = DCPCType.DCPC
MERGES = ("parallel", "concat")
ANNOTATOR_MODES = ("none", "prefix", "output")
READOUT_STATES = ("frozen", "adapted")
DEFAULT_BOTTLENECK = 12
"""With the readout and the annotators' effects, about as many numbers as LoRA of rank 4 trains."""

PRESETS: dict[str, dict[str, Any]] = {
    "default": {
        "num_virtual_tokens": 0,
        "bottleneck": DEFAULT_BOTTLENECK,
        "carrier_dropout": 0.0,
        "correction": False,
        "correction_hidden": 16,
        "readout": True,
    },
    "paper": {
        "num_virtual_tokens": 16,
        "num_corrected_tokens": 16,
        "bottleneck": 0,
        "carrier_dropout": 0.1,
        "correction": True,
        "correction_hidden": 32,
        "merge": "concat",
        "gate": False,
        "readout": False,
        "annotator_mode": "none",
    },
}
"""`default` is the recommended form, and what `DCPCConfig()` makes: a bottleneck behind every feed-forward layer,
annotators as random effects on the logits, a readout where the model classifies, and no correction module, which was
worth nothing there (docs/research.md, row 33). `paper` is the published form: it corrects the whole prefix, inside
one softmax with the text, and knows no annotators."""


def preset_fields(name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a preset with changes to them.

    A change that names another carrier takes the place of the bottleneck of `default` (a prefix that does not train
    is none), and a task that does not classify has no readout, unless the changes say so.

    Raises:
        UsageError: there is no such preset.
    """
    _require(name in PRESETS, f"there is no preset {name!r}", f"Presets are: {', '.join(PRESETS)}.")
    fields = dict(PRESETS[name])
    if changes.get("rank") or (changes.get("num_virtual_tokens") and changes.get("train_prefix", True)):
        fields["bottleneck"] = 0
    if changes.get("task_type") not in (None, "SEQ_CLS"):
        fields["readout"] = False
    return {**fields, **changes}


@dataclass
class DCPCConfig(PeftConfig):
    """Configuration of a DCPC adapter: `DCPCConfig()` is the recommended form, `preset("paper")` the published one.

    Letters: m prefix length, K preference styles, C classes.

    Args:
        num_virtual_tokens: m, the key/value positions that every self-attention layer attends to.
        train_prefix: whether the prefix itself trains. Off, it stays as it was started, as from demonstrations, and
            another carrier trains behind it; the correction module still corrects it.
        rank: r of the low-rank updates of the attention's linear layers, another carrier beside or in place of the
            prefix; 0 for none.
        rank_scale: s, factor of the updates (LoRA's α / r).
        bottleneck: width of the bottleneck behind every feed-forward layer, a third carrier; 0 for none. None is 12
            where no prefix trains and there is no low-rank update, and 0 beside them.
        carrier_dropout: dropout of the dimensions of low-rank updates and bottlenecks.
        num_styles: K, the number of latent preference styles over which `p_pref` is a distribution (eq. 10).
        correction: whether the preference correction module (PCM) corrects the prefix, and gates the dimensions of
            low-rank updates and bottlenecks, per input (eq. 10-12). Off, the adapter is plain prefix tuning,
            LoRA, or a bottleneck adapter; without a prefix either, the base model's attention stays untouched.
        correction_hidden: hidden width of the PCM, whose parameters all layers share.
        num_corrected_tokens: how many of the m positions `M p_pref` corrects. m is the paper's form; 1 keeps
            the parameter count near that of P-Tuning v2.
        merge: `parallel` leaves the base attention untouched and adds a separate attention over the prefix,
            whose values start at zero (He et al. 2022, arXiv:2110.04366; LLaMA-Adapter, arXiv:2303.16199);
            `concat` puts the prefix in front of the text's keys and values, inside one softmax.
        gate: with `concat`, a learned scalar per head, zero at the start, scales what the prefix changes, so
            that a fresh adapter changes nothing. Without it, `concat` is prefix tuning as published.
        readout: add a linear readout of the pooled states of all layers to the class logits; it starts at zero.
            `DCPCTrainer` fits it as a convex regression; in other loops it trains with the rest. Only for models that
            give one row of logits per input; None adds it to those that classify sequences.
        readout_states: whose states the readout reads: `frozen`, those of the base model without the adapter, in a
            pass of their own; `adapted`, those of the adapter's pass. `DCPCTrainer` begins with the first and ends
            with the second (`ObjectiveConfig.one_pass`), so this says what an adapter or checkpoint was fitted to.
        annotators: ids of the known annotators, in the order of their indices; None where there are none.
        annotator_groups: the group of an annotator, by id. Ids that `annotators` does not list fall back to
            the mean preference of their group.
        adapted_annotators: ids of annotators whom training did not see and `dcpc.adapt` has learned since.
        adapted_points: points that stand for what is known of each of them.
        annotator_mode: where an annotator's preference acts: `output` on the logits (all annotators of an
            item share one forward pass), `prefix` on `p_pref` in every layer, `none` nowhere.
        annotator_dropout: probability, in training, that a known annotator is treated as unknown.
        annotator_prior_std: standard deviation of the normal prior of an annotator's preference.
        labels: names of the C labels, in the order of the logits; stored for whoever loads the adapter. C is their
            number where the base model has no classification head.
        target_modules: restricts the adapter to these modules: a list of name endings, or one regular expression that
            must match the whole name. Names are those of self-attention modules, or, for low-rank updates and
            bottlenecks, of linear layers too (`["q_proj", "v_proj"]`). None takes all that the carriers act on.
        modules_to_save: further modules to train and save in full. PEFT adds the classification head itself.

    Raises:
        UsageError: a value is out of range or two values do not fit together.
    """

    num_virtual_tokens: int = field(default=0, metadata={"help": "Prefix positions m per layer."})
    train_prefix: bool = field(
        default=True, metadata={"help": "Train the prefix; off, it stays as it was started."}
    )
    rank: int = field(default=0, metadata={"help": "Rank of updates of the attention's linear layers."})
    rank_scale: float = field(default=2.0, metadata={"help": "Factor of the low-rank updates."})
    bottleneck: int | None = field(
        default=None, metadata={"help": "Width of bottlenecks behind the feed-forward layers."}
    )
    carrier_dropout: float = field(
        default=0.0, metadata={"help": "Dropout in low-rank updates and bottlenecks."}
    )
    num_styles: int = field(default=4, metadata={"help": "Latent preference styles K."})
    correction: bool = field(default=False, metadata={"help": "Correct the carrier per input (eq. 10-12)."})
    correction_hidden: int = field(default=16, metadata={"help": "Hidden width of the correction module."})
    num_corrected_tokens: int = field(
        default=1, metadata={"help": "Prefix positions that M p_pref corrects; m is the paper's form."}
    )
    merge: str = field(
        default="parallel",
        metadata={
            "help": "'parallel' (separate attention over the prefix, added) or 'concat' (one softmax)."
        },
    )
    gate: bool = field(
        default=True, metadata={"help": "concat only: learned gate per head, zero at the start."}
    )
    readout: bool | None = field(
        default=None, metadata={"help": "Let the frozen layers' pooled states add to the class logits."}
    )
    readout_states: str = field(
        default="frozen", metadata={"help": "Whose states the readout reads: 'frozen' or 'adapted'."}
    )
    annotators: list[str] | None = field(default=None, metadata={"help": "Ids of the known annotators."})
    annotator_groups: dict[str, str] | None = field(
        default=None, metadata={"help": "Group of an annotator, by annotator id."}
    )
    adapted_annotators: list[str] | None = field(
        default=None, metadata={"help": "Ids of annotators that were learned after the training."}
    )
    adapted_points: int = field(
        default=0, metadata={"help": "Points that stand for what is known of each adapted annotator."}
    )
    annotator_mode: str = field(
        default="output", metadata={"help": "Where annotator preferences act: 'none', 'prefix' or 'output'."}
    )
    annotator_dropout: float = field(
        default=0.1, metadata={"help": "Probability that training treats a known annotator as unknown."}
    )
    annotator_prior_std: float = field(
        default=1.0, metadata={"help": "Standard deviation of the prior of an annotator's preference."}
    )
    labels: list[str] | None = field(
        default=None, metadata={"help": "Label names, in the order of the logits."}
    )
    target_modules: list[str] | str | None = field(
        default=None, metadata={"help": "Self-attention modules to adapt; None takes all of them."}
    )
    modules_to_save: list[str] | None = field(
        default=None, metadata={"help": "Modules outside the adapter to train and save in full."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = PEFT_TYPE
        if self.bottleneck is None:
            carried = (self.num_virtual_tokens and self.train_prefix) or self.rank
            self.bottleneck = 0 if carried else DEFAULT_BOTTLENECK
        if self.readout is None and self.task_type not in (None, "SEQ_CLS"):
            self.readout = False
        for name in ("num_styles", "correction_hidden", "num_corrected_tokens"):
            _require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}", "Give at least 1.")
        for name in ("num_virtual_tokens", "rank", "bottleneck"):
            _require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}", "Give 0 or more.")
        _require(
            self.num_virtual_tokens + self.rank + self.bottleneck > 0,
            "num_virtual_tokens, rank and bottleneck are all 0, so nothing would be adapted",
            "Give a prefix length, a rank, or the width of a bottleneck.",
        )
        _require(
            self.train_prefix or self.correction or self.rank + self.bottleneck > 0,
            "train_prefix is off and there is no other carrier, so nothing would train",
            "Set train_prefix=True, a rank, or the width of a bottleneck.",
        )
        _require(0 <= self.carrier_dropout < 1, "carrier_dropout is outside [0, 1)", "Give e.g. 0.1.")
        _require(
            self.num_virtual_tokens == 0 or self.num_corrected_tokens <= self.num_virtual_tokens,
            f"num_corrected_tokens is {self.num_corrected_tokens}, "
            f"more than the {self.num_virtual_tokens} positions of the prefix",
            "Give at most num_virtual_tokens.",
        )
        _require(self.merge in MERGES, f"merge is {self.merge!r}", f"Choose one of {', '.join(MERGES)}.")
        _require(
            self.readout_states in READOUT_STATES,
            f"readout_states is {self.readout_states!r}",
            f"Choose one of {', '.join(READOUT_STATES)}.",
        )
        _require(
            self.annotator_mode in ANNOTATOR_MODES,
            f"annotator_mode is {self.annotator_mode!r}",
            f"Choose one of {', '.join(ANNOTATOR_MODES)}.",
        )
        _require(0 <= self.annotator_dropout < 1, "annotator_dropout is outside [0, 1)", "Give e.g. 0.1.")
        _require(self.annotator_prior_std > 0, "annotator_prior_std is not positive", "Give e.g. 1.0.")
        _require(
            not self.readout or self.task_type in (None, "SEQ_CLS"),
            f"readout adds to one row of class logits per input, but task_type is {self.task_type}",
            "Set readout=False for tasks other than SEQ_CLS, or leave it out.",
        )
        self._check_annotators()

    def _check_annotators(self) -> None:
        if self.annotators is None:
            return
        _require(bool(self.annotators), "annotators is an empty list", "Leave it out where there are none.")
        _require(
            len(set(self.known_annotators)) == len(self.known_annotators),
            "annotators names an annotator twice",
            "List every annotator id once.",
        )
        _require(
            self.annotator_mode != "prefix" or self.correction,
            "annotator_mode='prefix' acts through the correction module, but correction is off",
            "Set correction=True or annotator_mode='output'.",
        )
        _require(
            self.annotator_mode != "output" or self.task_type in (None, "SEQ_CLS") or bool(self.labels),
            f"annotator_mode='output' acts on one row of label logits per item, but task_type is {self.task_type} "
            "and there are no labels",
            "Name the labels, or set annotator_mode='prefix'.",
        )

    @classmethod
    def preset(cls, name: str, **changes: Any) -> DCPCConfig:
        """A named configuration, with single fields changed.

        Args:
            name: `default` (the recommended form) or `paper` (as published).
            **changes: fields to set differently.

        Raises:
            UsageError: there is no such preset.
        """
        return cls(**preset_fields(name, changes))

    @property
    def needs_machinery(self) -> bool:
        """Whether the adapter has to act inside attention, or to know what enters it."""
        return self.num_virtual_tokens > 0 or self.correction

    @property
    def known_annotators(self) -> list[str]:
        """Ids of the annotators of the training, then of those that were adapted to since."""
        return [*(self.annotators or []), *(self.adapted_annotators or [])]

    @property
    def models_annotators(self) -> bool:
        """Whether the adapter holds preferences of single annotators."""
        return self.annotators is not None and self.annotator_mode != "none"


def _require(condition: bool, what: str, fix: str) -> None:
    if not condition:
        raise UsageError(f"DCPCConfig: {what}.", fix=fix)
