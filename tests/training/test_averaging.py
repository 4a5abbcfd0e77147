"""The exponential moving average of the trainable weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dcpc.training.averaging import AveragedWeights


def model(value: float = 0.0) -> nn.Linear:
    layer = nn.Linear(1, 1)
    with torch.no_grad():
        layer.weight.fill_(value)
    layer.bias.requires_grad_(False)
    return layer


def set_weight(layer: nn.Linear, value: float) -> None:
    with torch.no_grad():
        layer.weight.fill_(value)


def test_the_decay_rises_with_the_updates_up_to_its_value():
    layer = model(0.0)
    averaged = AveragedWeights(layer, decay=0.2)
    expected = 0.0
    for decay, value in [(2 / 11, 1.0), (0.2, 2.0), (0.2, 4.0)]:
        set_weight(layer, value)
        averaged.update(layer)
        expected = decay * expected + (1 - decay) * value
        assert averaged.average["weight"].item() == pytest.approx(expected)


def test_frozen_tensors_are_left_out():
    assert list(AveragedWeights(model(), 0.9).average) == ["weight"]


def test_applied_puts_the_trained_weights_back_even_after_an_error():
    layer = model(1.0)
    averaged = AveragedWeights(layer, 0.9)
    set_weight(layer, 5.0)
    with averaged.applied(layer):
        assert layer.weight.item() == 1.0
    assert layer.weight.item() == 5.0
    with pytest.raises(KeyboardInterrupt), averaged.applied(layer):
        raise KeyboardInterrupt
    assert layer.weight.item() == 5.0


def test_the_average_does_not_follow_the_weights_it_started_from():
    layer = model(1.0)
    averaged = AveragedWeights(layer, 0.9)
    set_weight(layer, 5.0)
    averaged.copy_to(layer)
    assert layer.weight.item() == 1.0
    set_weight(layer, 7.0)
    assert averaged.average["weight"].item() == 1.0


def test_state_goes_through_a_checkpoint():
    layer = model(1.0)
    averaged = AveragedWeights(layer, 0.9)
    set_weight(layer, 2.0)
    averaged.update(layer)
    other = AveragedWeights(layer, 0.9)
    other.load_state_dict(averaged.state_dict())
    set_weight(layer, 3.0)
    averaged.update(layer)
    other.update(layer)
    assert other.updates == averaged.updates == 2
    assert other.average["weight"].equal(averaged.average["weight"])
