"""A training shared by two processes is the training of one: losses, gradients, what is saved, and going on."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

from dcpc import fit, launcher, ranks
from dcpc.data import Annotations
from dcpc.data.pairs import JudgementPairs
from dcpc.errors import UsageError
from dcpc.fit import train_adapter
from dcpc.training.arguments import made_arguments
from dcpc.tuner.annotators import AnnotatorEffects
from several_ranks import on_ranks
from tiny_language_models import tiny_language_model, tiny_tokenizer
from tiny_models import save_tiny_bert, sentiment_judgements

TOLERANCE = 1e-5
CASES = {
    "default": {},
    "low-rank": {"adapter": {"bottleneck": 0, "rank": 4}},
    "own-annotators": {"adapter": {"annotator_mode": "prefix", "correction": True, "num_virtual_tokens": 4}},
    "paper": {
        "training": {"preset": "paper", "objective": {"target_correction": 0.4, "correction_start": 0.0}}
    },
    "views": {"training": {"preset": "paper", "objective": {"view_pairs": True, "ema_decay": 0.5}}},
    "mined": {"training": {"preset": "paper", "objective": {"mined_pairs": True}}},
    "long-first": {"training": {"train_sampling_strategy": "group_by_length"}},
    "accumulated": {"training": {"gradient_accumulation_steps": 2}},
    "votes": {"task": {"name": "prefer", "rater_dropout": 0.0}},
    "label-words": {"task": {"name": "label-words"}, "base": "-that-speaks"},
}
"""What a training is given, beside the rest; of 33 items in batches of 8 the second process has none of the last."""
QUANTISED = {"bnb-4bit": "bitsandbytes", "bnb-8bit": "bitsandbytes", "torchao-int8": "torchao"}
"""Ways to quantise the base model, with their packages: further cases, where these are installed."""
SPLIT = ("default", "own-annotators", "paper", "mined", "accumulated")
"""Of these those that are also trained with a base model that FSDP2 splits."""
ZERO = (
    "default",
    "low-rank",
    "own-annotators",
    "paper",
    "views",
    "mined",
    "accumulated",
    "votes",
    "label-words",
)
"""And those whose steps DeepSpeed makes, where it is installed."""
ENGINES = {None: {}, "fsdp": {"fsdp": "true"}, "zero2": {"deepspeed": {"zero_optimization": {"stage": 2}}}}
"""Settings that ask for an engine."""


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> str:
    """An encoder; beside it there is a language model."""
    folder = tmp_path_factory.mktemp("base")
    tiny_language_model().save_pretrained(folder / "model-that-speaks")
    tiny_tokenizer().save_pretrained(folder / "model-that-speaks")
    return save_tiny_bert(folder / "model", mean_pooling=True)


class _Record(TrainerCallback):
    """Gradients of every step, as they reach the optimizer, and losses as they are logged."""

    def __init__(self) -> None:
        self.kept: dict[str, torch.Tensor] = {}

    def on_pre_optimizer_step(self, args, state, control, model, **kwargs) -> None:
        for name, tensor in model.named_parameters():
            if tensor.requires_grad and tensor.grad is not None:  # DeepSpeed has taken and split them
                self.kept[f"gradient {state.global_step} {name}"] = tensor.grad.clone()

    def on_log(self, args, state, control, logs, **kwargs) -> None:
        for name, value in logs.items():
            if "loss" in name or name == "grad_norm":
                self.kept[f"{name} {state.global_step}"] = torch.tensor(float(value))


class _StopAfter(TrainerCallback):
    """Ends the training as a Ctrl-C does, after a checkpoint."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_save(self, args, state, control, **kwargs) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


def train(
    base: str,
    case: str,
    folder: Path,
    batch: int,
    stop: int | None = None,
    resume: bool = False,
    engine: str | None = None,
) -> None:
    """Train with a global batch of `batch` items, and write what came of it."""
    given = CASES.get(case, {"base_options": {"quantise": case}})
    torch.manual_seed(0)
    training = {
        "num_train_epochs": 2,
        "per_device_train_batch_size": batch // launcher.processes(),
        "per_device_eval_batch_size": 3,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "use_cpu": True,
        "seed": 3,
        **given.get("training", {}),
        **ENGINES[engine],
    }
    data = sentiment_judgements(
        46, ("ann", "bob", "cem")
    )  # the last of the held-out ones makes a batch alone
    votes = case == "votes"
    if votes:
        data = _votes(data)
    items = data.item_codes
    recorded = _Record()
    try:
        trained = train_adapter(
            data.where(items < 33),
            data.where(items >= 33),
            base_model=base + given.get("base", ""),
            task=given.get("task"),
            base_options=given.get("base_options"),
            adapter={
                "carrier_dropout": 0.0,
                **({} if votes else {"annotator_dropout": 0.0}),
                **given.get("adapter", {}),
            },
            training=training,
            checkpoints=folder / "checkpoints",
            resume=resume,
            progress=False,
            callbacks=[recorded, *([] if stop is None else [_StopAfter(stop)])],
        )
    except KeyboardInterrupt:
        return
    if ranks.is_first():
        trained.save(folder / "adapter")
        save_file(recorded.kept, folder / "recorded.safetensors")


def _votes(data: Annotations) -> Annotations:
    """The items beside another response, with two votes on each, or three."""
    table = data.table[(data.item_codes + np.arange(len(data.table))) % 5 > 0]
    pairs = table.rename(columns={"text": "response_a"}).assign(
        text="the room", response_b="the meal was good"
    )
    said = pairs["label"].map({"yes": "a", "no": "b"}).mask(pairs.index % 5 == 0, "tie")
    return Annotations(pairs.assign(label=said).reset_index(drop=True), ("a", "b", "tie"), "preference")


def all_cases(base: str, folder: Path) -> None:
    _without_chance()
    for case in CASES:
        train(base, case, folder / case, 8)


def split_cases(base: str, folder: Path) -> None:
    _without_chance()
    for case in SPLIT:
        train(base, case, folder / case, 8, engine="fsdp")


def zero_cases(base: str, folder: Path) -> None:
    _without_chance()
    for case in ZERO:
        train(base, case, folder / case, 8, engine="zero2")


def _without_chance() -> None:
    """Annotators are not sampled, as processes draw noise of their own; and pairs are of neighbouring items, instead
    of a search that needs an embedding model.
    """
    first = np.arange(0, 90, 2)
    pairs = JudgementPairs(first, first + 3, np.full(45, 0.9), np.zeros(45, int), np.full(45, 0.7))
    fit.mine_judgement_pairs = lambda *_, **__: pairs
    forward = AnnotatorEffects.forward

    def means(self: AnnotatorEffects, ids: torch.Tensor) -> torch.Tensor:
        training, self.training = self.training, False
        try:
            return forward(self, ids)
        finally:
            self.training = training

    AnnotatorEffects.forward = means


def same(one: Path, two: Path, *, gradients: bool = True) -> None:
    for name in ("recorded.safetensors", "adapter/adapter_model.safetensors"):
        ours, theirs = load_file(one / name), load_file(two / name)
        if not gradients:
            ours = {key: value for key, value in ours.items() if not key.startswith("gradient ")}
        assert ours.keys() == theirs.keys()
        worst = {key: (ours[key] - theirs[key]).abs().max().item() for key in ours if ours[key].numel()}
        assert max(worst.values()) < TOLERANCE, sorted(worst, key=worst.__getitem__)[-3:]
    decided = [json.loads((folder / "adapter" / "task.json").read_text()) for folder in (one, two)]
    one_flat, two_flat = map(_flat, decided)
    one_flat[".weights_sha256"] = two_flat[".weights_sha256"]
    for name, value in one_flat.items():
        assert value == (
            pytest.approx(two_flat[name], abs=TOLERANCE) if isinstance(value, float) else two_flat[name]
        )


def _flat(content: object, name: str = "") -> dict[str, object]:
    if isinstance(content, dict | list):
        parts = content.items() if isinstance(content, dict) else enumerate(content)
        return {k: v for part, value in parts for k, v in _flat(value, f"{name}.{part}").items()}
    return {name: content}


@pytest.fixture(scope="module")
def both(base, tmp_path_factory):
    """Folders of all trainings in one process, and in two."""
    folder = tmp_path_factory.mktemp("trained")
    ended = on_ranks(folder / "streams", all_cases, base, folder / "two")
    assert [end.code for end in ended] == [0, 0], ended[0].err + ended[1].err
    return folder


@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_as_one(both, base, case, monkeypatch) -> None:
    monkeypatch.setattr(fit, "mine_judgement_pairs", fit.mine_judgement_pairs)  # put back afterwards
    monkeypatch.setattr(AnnotatorEffects, "forward", AnnotatorEffects.forward)
    _without_chance()
    train(base, case, both / "one" / case, 8)
    same(both / "one" / case, both / "two" / case)


@pytest.mark.parametrize("how", QUANTISED)
def test_two_processes_with_a_quantised_base_train_as_one(base, how, tmp_path) -> None:
    if find_spec(QUANTISED[how]) is None:
        pytest.skip(f"{QUANTISED[how]} is not installed")
    ended = on_ranks(tmp_path / "streams", train, base, how, tmp_path / "two", 8)
    assert [end.code for end in ended] == [0, 0], ended[0].err + ended[1].err
    train(base, how, tmp_path / "one", 8)
    same(tmp_path / "one", tmp_path / "two")


@pytest.fixture(scope="module")
def split(both, base):
    """Folder of the trainings with a base model that two processes split."""
    ended = on_ranks(both / "split-streams", split_cases, base, both / "split")
    assert [end.code for end in ended] == [0, 0], ended[0].err + ended[1].err
    return both / "split"


@pytest.mark.parametrize("case", SPLIT)
def test_a_split_base_model_trains_the_same_adapter(both, split, case) -> None:
    """Weights are split and put together again, and everything else is as without: losses, gradients, the adapter."""
    whole, split = both / "two" / case, split / case
    config = [(folder / "adapter" / "adapter_config.json").read_text() for folder in (whole, split)]
    assert config[0] == config[1]
    same(whole, split)


@pytest.fixture(scope="module")
def zero(both, base):
    """Folder of the trainings whose steps DeepSpeed makes."""
    pytest.importorskip("deepspeed")
    ended = on_ranks(both / "zero-streams", zero_cases, base, both / "zero")
    assert [end.code for end in ended] == [0, 0], ended[0].err + ended[1].err
    return both / "zero"


@pytest.mark.parametrize("case", ZERO)
def test_deepspeed_trains_the_same_adapter(both, zero, case) -> None:
    """Gradients and the optimizer's state are split, and everything else is as without: losses, the norm of the
    gradients, the adapter.
    """
    same(both / "two" / case, zero / case, gradients=False)


def test_own_annotators_are_told_apart(both) -> None:
    """Else the test above would compare nothing in that case."""
    kept = load_file(both / "two" / "own-annotators" / "recorded.safetensors")
    assert any("annotators" in name and value.abs().max() > 0 for name, value in kept.items())


def test_pair_terms_of_two_processes_are_not_zero(both) -> None:
    for case, terms in {"paper": 3, "views": 2, "mined": 3}.items():
        kept = load_file(both / "two" / case / "recorded.safetensors")
        there = {
            name.split()[0] for name, value in kept.items() if name.startswith("loss_") and value.abs() > 0
        }
        assert len(there & {"loss_ambiguity", "loss_alignment", "loss_preference"}) >= terms, case


def stop_and_go(base: str, folder: Path, stop: int | None, resume: bool, engine: str | None = None) -> None:
    engine = engine if launcher.processes() > 1 else None
    train(base, "paper", folder, 8, stop=stop, resume=resume, engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("first", [1, 2])
def test_a_training_goes_on_with_more_or_fewer_processes(both, base, tmp_path, first, engine) -> None:
    if engine == "zero2":
        pytest.importorskip("deepspeed")

    def run(processes: int, *arguments) -> None:
        if processes == 1:
            stop_and_go(base, tmp_path, *arguments)
        else:
            ended = on_ranks(tmp_path / "streams", stop_and_go, base, tmp_path, *arguments)
            assert [end.code for end in ended] == [0, 0], ended[0].err + ended[1].err

    run(first, 5, False, engine)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["checkpoint-5"]
    run(3 - first, None, True, engine)
    adapter = "adapter/adapter_model.safetensors"
    ours, theirs = load_file(tmp_path / adapter), load_file(both / "two" / "paper" / adapter)
    assert max((ours[name] - theirs[name]).abs().max() for name in ours) < TOLERANCE


@pytest.mark.parametrize(
    "given", [{"deepspeed": "zero3.json"}, "ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_FSDP"]
)
def test_engines_that_are_not_carried_out_are_refused(tmp_path, monkeypatch, given) -> None:
    if isinstance(given, str):  # as accelerate launch says it
        monkeypatch.setenv(given, "true")
        given = {}
    with pytest.raises(UsageError, match="splits a training among processes"):
        made_arguments({"output_dir": str(tmp_path), **given})
