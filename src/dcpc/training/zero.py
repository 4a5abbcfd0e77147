"""DeepSpeed's ZeRO: the optimizer's state and the gradients of what trains are split among the ranks.

DeepSpeed makes the backward pass and the optimizer's step; everything else is that of a training without it, which
neither accelerate nor transformers knows to be one of DeepSpeed's. In their own way checkpoints would go on with the
same number of processes only, and bfloat16 would be that of the weights.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from dcpc import launcher
from dcpc.errors import UsageError
from dcpc.names import first_of
from dcpc.training.arguments import DCPCTrainingArguments, items_per_batch

STAGES = (1, 2)
_SPEECH = ("steps_per_print", "wall_clock_breakdown")
"""Fields of a DeepSpeed configuration without an effect on what is trained."""
_PRECISION = ("bf16", "fp16", "amp", "torch_autocast")
_OPTIMIZER = ("zero_allow_untested_optimizer", "zero_force_ds_cpu_optimizer")


@dataclass(frozen=True)
class Zero:
    """What of DeepSpeed's configuration is carried out.

    Attributes:
        splitting: its part `zero_optimization`.
        told: what it says of numbers that the training's own settings say: items of a batch, gradients that are
            accumulated, the norm that they are clipped at.
    """

    splitting: Mapping[str, Any]
    told: Mapping[str, Any]

    @classmethod
    def asked(cls, training: Mapping[str, Any]) -> tuple[Zero | None, dict[str, Any]]:
        """What settings, or `accelerate launch --use_deepspeed`, ask for; None for nothing. And the other settings.

        Raises:
            UsageError: DeepSpeed is not installed, its configuration asks for what is not carried out, or this is
                the only process.
        """
        rest = {name: value for name, value in training.items() if name != "deepspeed"}
        given = training.get("deepspeed")
        if not given and launcher.engine() != "DeepSpeed":
            return None, rest
        if launcher.processes() == 1:
            raise UsageError(
                "DeepSpeed splits a training among processes, and this is the only one.",
                fix="Start it with accelerate launch or torchrun, or leave DeepSpeed out.",
            )
        if training.get("fsdp") or launcher.engine() == "FSDP":
            raise UsageError(
                "FSDP and DeepSpeed are two ways to split a training.", fix="Leave one of them out."
            )
        if find_spec("deepspeed") is None:
            raise UsageError(
                "DeepSpeed is asked for, and not installed.",
                fix="pip install 'dcpc[deepspeed]', or start it without: accelerate launch --multi_gpu",
            )
        return cls._of(_configuration(given)), rest

    @classmethod
    def _of(cls, config: Mapping[str, Any]) -> Zero:
        fields = dict(config)
        splitting = {
            name: value for name, value in fields.pop("zero_optimization").items() if value != "auto"
        }
        if (stage := splitting.get("stage", 0)) not in STAGES:
            raise UsageError(
                f"ZeRO of stage {stage} is not carried out here, {' and '.join(map(str, STAGES))} are.",
                fix="Give --zero_stage 2. A base model that is too large for one process is split by FSDP2: "
                "accelerate launch --use_fsdp --fsdp_version 2.",
            )
        if _is_on(splitting.pop("offload_optimizer", None)):
            raise UsageError(
                "the optimizer's state is not offloaded here: that of an adapter is small.",
                fix="Leave offload_optimizer out.",
            )
        splitting.pop("offload_param", None)  # of stage 3, which the launcher names always
        for name in _PRECISION:
            if _is_on(fields.pop(name, None)):
                raise UsageError(
                    f"DeepSpeed's own `{name}` is not carried out here: it would round the adapter's weights.",
                    fix="--set bf16=true computes in bfloat16, --set dtype=bfloat16 loads the base model in it.",
                )
        for name in ("optimizer", "scheduler"):
            if fields.pop(name, None):
                raise UsageError(
                    f"DeepSpeed's configuration has a part `{name}`, which is not carried out here.",
                    fix="Leave it out, and give the training's settings: optim, learning_rate, lr_scheduler_type.",
                )
        for name in (*_SPEECH, *_OPTIMIZER):
            fields.pop(name, None)
        if odd := [name for name in fields if name not in _numbers_of(None)]:
            raise UsageError(
                f"DeepSpeed's configuration names {first_of(odd, 3)}, which is not carried out here.",
                fix="Leave it out.",
            )
        return cls(splitting, {name: value for name, value in fields.items() if value not in ("auto", None)})

    def check(self, arguments: DCPCTrainingArguments) -> None:
        """Refuse numbers that differ from those of the training's settings.

        Raises:
            UsageError: naming both.
        """
        for name, (setting, own) in _numbers_of(arguments).items():
            told = self.told.get(name, own)
            # `accelerate launch` says 1 where nothing was said.
            if told != own and not (name == "gradient_accumulation_steps" and told == 1):
                raise UsageError(
                    f"DeepSpeed's configuration says {name}={told}, and the training's settings {own}.",
                    fix=f"Write auto in the one, and set {setting} in the other.",
                )

    def engine(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        arguments: DCPCTrainingArguments,
        check: Callable[[float], None],
    ) -> tuple[Any, Steps]:
        """DeepSpeed's engine around a model, and what makes its steps.

        Args:
            model: on its device, of which some tensors train.
            optimizer: of these.
            arguments: of the training.
            check: gets the norm of all gradients before they are clipped, after every step; a step is not made where
                it is no number.

        Raises:
            UsageError: what trains is of several types of numbers, or the base model is packed by torchao.
        """
        groups = [list(group["params"]) for group in optimizer.param_groups]
        _check_tensors(model, [tensor for group in groups for tensor in group])
        logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
        items = items_per_batch(arguments) // arguments.world_size
        config = {
            "train_micro_batch_size_per_gpu": items,
            "gradient_accumulation_steps": 1,
            # The Trainer accumulates: it says when a step is due, also for fewer batches at the end of an epoch.
            "managed_gradient_accumulation": False,
            "gradient_clipping": arguments.max_grad_norm,
            "zero_allow_untested_optimizer": True,
            "zero_optimization": dict(self.splitting),
            "steps_per_print": None,
        }
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it has compiled
            import deepspeed

            engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)
        return engine, Steps(engine, optimizer, groups, check)


class Steps(torch.optim.Optimizer):
    """Steps of DeepSpeed's engine, as the Trainer and its schedule know an optimizer.

    Args:
        engine: of DeepSpeed.
        optimizer: whose groups hold the rates; the engine has joined the tensors of each, and split the whole.
        groups: these tensors, as they were.
        check: see `Zero.engine`.
    """

    _is_accelerate_prepared = True  # what accelerate would add, the engine does

    def __init__(
        self,
        engine: Any,
        optimizer: torch.optim.Optimizer,
        groups: list[list[nn.Parameter]],
        check: Callable[[float], None],
    ) -> None:
        self.engine = engine
        self.split = optimizer
        self.groups = groups
        self.check = check
        self.gathered: dict[str, Any] = {}
        self.step_was_skipped = False  # `check` has raised
        self.defaults = optimizer.defaults

    @property
    def param_groups(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Of the optimizer: a schedule changes the rates there."""
        return self.split.param_groups

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Gather, clip, and make the step."""
        self.engine.step()
        self.check(self.norm())

    def norm(self) -> float:
        """Of all gradients together, before they were clipped, at the last step."""
        return float(self.engine.get_global_grad_norm())

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Nothing: a step has let go of the gradients."""

    def gather(self) -> None:
        """Put the state together of what every rank has of it: work of all ranks, before `state_dict`."""
        from deepspeed.utils import safe_get_full_optimizer_state

        self._link()
        state = [
            {
                name: safe_get_full_optimizer_state(tensor, name)
                if value.shape == flat.shape
                else value.clone()  # the count of steps, which an optimizer raises in place, for each tensor
                for name, value in self.split.state[flat].items()
            }
            for group, flat in zip(self.groups, self._flat(), strict=True)
            for tensor in group
        ]
        numbers = iter(range(len(state)))
        groups = [
            {**self._rates(own), "params": [next(numbers) for _ in group]}
            for own, group in zip(self.param_groups, self.groups, strict=True)
        ]
        self.gathered = {"state": dict(enumerate(state)), "param_groups": groups}

    def state_dict(self) -> dict[str, Any]:
        """As it was at the last `gather`; that of the optimizer in a training without DeepSpeed."""
        return self.gathered

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the state of a checkpoint, whatever wrote it."""
        from deepspeed.utils import safe_set_full_optimizer_state

        found = [state_dict["state"][number] for number in sorted(state_dict["state"])]
        of_group = []
        for own, group, flat, loaded in zip(
            self.param_groups, self.groups, self._flat(), state_dict["param_groups"], strict=True
        ):
            own |= self._rates(loaded)
            of_group, found = found[: len(group)], found[len(group) :]
            self.split.state[flat] = {
                name: value if name == "step" else torch.zeros_like(flat)
                for name, value in of_group[0].items()
            }
            self._link()
            for tensor, values in zip(group, of_group, strict=True):
                for name, value in values.items():
                    if name != "step":
                        safe_set_full_optimizer_state(tensor, value.to(flat.device), name)

    def _flat(self) -> list[torch.Tensor]:
        """This rank's part of every group."""
        return self.engine.optimizer.single_partition_of_fp32_groups

    def _link(self) -> None:
        """Have tensors find their part of the state; DeepSpeed does it for the first group alone."""
        from deepspeed.utils import lazy_init_hp_params_optimizer_state

        for tensors, flat in zip(self.engine.optimizer.bit16_groups, self._flat(), strict=True):
            if flat in self.split.state:
                lazy_init_hp_params_optimizer_state(tensors, flat, self.split.state)

    @staticmethod
    def _rates(group: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in group.items() if name != "params"}


def _check_tensors(model: nn.Module, trained: list[nn.Parameter]) -> None:
    # DeepSpeed joins the tensors that train into one; and moves the model once more.
    if len(types := sorted({str(tensor.dtype).removeprefix("torch.") for tensor in trained})) > 1:
        raise UsageError(
            f"of what trains some tensors are {' and some '.join(types)}, which DeepSpeed cannot join.",
            fix="--set bf16=true instead of dtype=bfloat16; or start it without DeepSpeed.",
        )
    if any(type(tensor.data) is not torch.Tensor for tensor in model.parameters()):
        raise UsageError(
            "DeepSpeed cannot take a base model whose weights torchao has packed.",
            fix="--set quantise=bnb-8bit or bnb-4bit; or start it without DeepSpeed.",
        )


def _configuration(given: Any) -> Mapping[str, Any]:
    """DeepSpeed's configuration, as a setting or the launcher gives it."""
    from accelerate.utils import DeepSpeedPlugin

    try:
        plugin = DeepSpeedPlugin(**({"hf_ds_config": given} if given else {}))
    except (ValueError, TypeError, OSError) as error:
        raise UsageError(
            f"DeepSpeed's configuration does not fit: {' '.join(str(error).split())[:200]}",
            where=given if isinstance(given, str) else None,
            fix="Give a JSON file with the part zero_optimization.",
        ) from error
    return plugin.deepspeed_config


def _numbers_of(arguments: DCPCTrainingArguments | None) -> dict[str, tuple[str, Any]]:
    """Fields of a DeepSpeed configuration, and the settings that say the same, with their values."""
    if arguments is None:
        items = whole = accumulated = norm = None
    else:
        accumulated, norm = arguments.gradient_accumulation_steps, arguments.max_grad_norm
        items = items_per_batch(arguments) // arguments.world_size
        whole = items_per_batch(arguments) * accumulated
    return {
        "train_micro_batch_size_per_gpu": ("per_device_train_batch_size", items),
        "train_batch_size": ("per_device_train_batch_size", whole),
        "gradient_accumulation_steps": ("gradient_accumulation_steps", accumulated),
        "gradient_clipping": ("max_grad_norm", norm),
    }


def _is_on(part: Any) -> bool:
    """Whether a part of a configuration is switched on."""
    if not isinstance(part, Mapping):
        return part not in (None, False, "auto")
    if "device" in part:
        return part["device"] not in ("none", None)
    return part.get("enabled", False) not in (False, "auto")
