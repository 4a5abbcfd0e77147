"""A preset sets the objective and the adapter that belong together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerCallback

from dcpc import fit
from dcpc.errors import UsageError
from dcpc.fit import train_adapter
from dcpc.objective import ObjectiveConfig
from dcpc.training import carriers
from tiny_models import save_tiny_bert, sentiment_judgements


def config_of(folder: Path, **training: Any) -> Any:
    adapter = train_adapter(
        sentiment_judgements(8),
        None,
        base_model=save_tiny_bert(folder / "base", mean_pooling=True),
        training={"num_train_epochs": 1, **training},
        progress=False,
    )
    return adapter.model.active_peft_config


def test_the_paper_has_a_corrected_prefix_in_one_softmax_and_no_annotators(tmp_path: Path) -> None:
    config = config_of(tmp_path, preset="paper")
    assert (config.num_virtual_tokens, config.num_corrected_tokens, config.rank) == (16, 16, 0)
    assert (config.merge, config.gate, config.readout) == ("concat", False, False)
    assert not config.models_annotators


@pytest.mark.parametrize("preset", ["default", "none"])
def test_the_default_has_a_bottleneck_and_a_readout(tmp_path: Path, preset: str) -> None:
    config = config_of(tmp_path, preset=preset)
    assert (config.num_virtual_tokens, config.bottleneck, config.readout) == (0, 12, True)
    assert config.models_annotators


@pytest.mark.parametrize("objective", [{}, {"ambiguity_weight": 0.1}])
def test_the_default_has_no_correction_module(tmp_path: Path, objective: dict[str, Any]) -> None:
    assert not config_of(tmp_path, objective=objective).correction


@pytest.mark.parametrize("weight", ["alignment_weight", "preference_weight"])
def test_terms_about_the_correction_module_bring_it_along(tmp_path: Path, weight: str) -> None:
    config = config_of(tmp_path, objective={weight: 0.1})
    assert (config.correction, config.bottleneck, config.correction_hidden) == (True, 12, 16)


def test_annotators_inside_the_model_bring_it_along(tmp_path: Path) -> None:
    """They act through the module."""
    adapter = train_adapter(
        sentiment_judgements(8),
        None,
        base_model=save_tiny_bert(tmp_path / "base", mean_pooling=True),
        adapter={"annotator_mode": "prefix"},
        training={"num_train_epochs": 1},
        progress=False,
    )
    assert adapter.model.active_peft_config.correction


def test_an_adapter_without_the_module_is_refused_for_terms_about_it(tmp_path: Path) -> None:
    """They would be zero, and the training would look as if they had done nothing."""
    with pytest.raises(UsageError, match=r"(?s)which the adapter lacks.*Set correction=True"):
        train_adapter(
            sentiment_judgements(8),
            None,
            base_model=save_tiny_bert(tmp_path / "base", mean_pooling=True),
            adapter={"correction": False},
            training={"num_train_epochs": 1, "objective": {"preference_weight": 0.1}},
            progress=False,
        )


def test_there_is_nothing_to_resume_without_a_folder_of_checkpoints() -> None:
    with pytest.raises(UsageError, match="no checkpoints to go on from"):
        train_adapter(sentiment_judgements(8), None, base_model="minilm", resume=True)


def test_an_objective_written_in_words_is_the_same_one() -> None:
    """`no` is no string that counts as true, and numbers in quotes can be compared."""
    config = ObjectiveConfig(view_pairs="no", ambiguity_weight="0.5")  # type: ignore[arg-type]
    assert (config.view_pairs, config.ambiguity_weight) == (False, 0.5)
    with pytest.raises(UsageError, match="ambiguity_weight"):
        ObjectiveConfig(ambiguity_weight="much")  # type: ignore[arg-type]


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_checkpointed_gradients_train_both_presets(tmp_path: Path, preset: str) -> None:
    """Recomputing has to save what the first pass saved, or torch stops the training."""
    config_of(tmp_path, preset=preset, gradient_checkpointing=True)


@pytest.mark.parametrize(
    ("few", "settings", "rate"),
    [
        (1_000, {}, 6e-3),
        (10, {}, 3e-3),  # from so many items on
        (1_000, {"learning_rate": 1e-4}, 1e-4),
        (1_000, {"preset": "paper"}, 3e-3),
    ],
)
def test_few_items_learn_at_a_higher_rate_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int, settings: dict[str, Any], rate: float
) -> None:
    for module in (carriers, fit):
        monkeypatch.setattr(module, "FEW_ITEMS", few)
    data = sentiment_judgements(12)
    seen: list[float] = []
    trained = fit.train_adapter(
        data,
        None,
        base_model=save_tiny_bert(tmp_path / "base", mean_pooling=True),
        training={"max_steps": 1, **settings},
        progress=False,
        callbacks=[RateOf(seen)],
    )
    assert seen == [rate]
    assert any("learning_rate is 0.006" in note for note in trained.notes) == (rate == 6e-3)


class RateOf(TrainerCallback):
    """Notes the learning rate that a training was begun with."""

    def __init__(self, seen: list[float]) -> None:
        self.seen = seen

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.seen.append(args.learning_rate)
