"""A preset sets the objective and the adapter that belong together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dcpc.fit import train_adapter
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
