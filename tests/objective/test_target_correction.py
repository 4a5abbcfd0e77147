"""Running consensus and target correction."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dcpc.objective import RunningConsensus, corrected_targets


def test_first_visit_takes_the_prediction_and_later_ones_are_averaged():
    consensus = RunningConsensus(3, 2, momentum=0.75)
    first = consensus.update(torch.tensor([2]), torch.tensor([[0.8, 0.2]]))
    torch.testing.assert_close(first, torch.tensor([[0.8, 0.2]]))
    second = consensus.update(torch.tensor([2, 0]), torch.tensor([[0.4, 0.6], [0.1, 0.9]]))
    torch.testing.assert_close(second, torch.tensor([[0.75 * 0.8 + 0.25 * 0.4, 0.3], [0.1, 0.9]]))
    assert consensus.visits.tolist() == [1, 0, 2]


def test_the_consensus_carries_no_gradient():
    probabilities = torch.tensor([[0.8, 0.2]], requires_grad=True)
    assert not RunningConsensus(1, 2).update(torch.tensor([0]), probabilities).requires_grad


def test_state_goes_through_a_checkpoint():
    consensus, other = RunningConsensus(2, 2), RunningConsensus(2, 2)
    consensus.update(torch.tensor([1]), torch.tensor([[0.8, 0.2]]))
    other.load_state_dict(consensus.state_dict())
    again = torch.tensor([[0.5, 0.5]])
    torch.testing.assert_close(
        consensus.update(torch.tensor([1]), again), other.update(torch.tensor([1]), again)
    )


def test_target_moves_by_strength_times_total_variation():
    # ½(|1 − 0.2| + |0 − 0.8|) = 0.8; w = 0.5 · 0.8 = 0.4; 0.6 · (1, 0) + 0.4 · (0.2, 0.8)
    corrected = corrected_targets(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.2, 0.8]]), 0.5)
    torch.testing.assert_close(corrected, torch.tensor([[0.68, 0.32]]))


def test_an_agreeing_label_and_strength_zero_leave_the_target_as_it_is():
    target, consensus = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.7, 0.3]])
    assert corrected_targets(target, target, 1.0).equal(target)
    assert corrected_targets(target, consensus, 0.0).equal(target)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(0, 1))
def test_corrected_targets_are_distributions(seed, strength):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.eye(4)[torch.randint(0, 4, (6,), generator=generator)]
    consensus = torch.rand(6, 4, generator=generator).softmax(-1)
    corrected = corrected_targets(labels, consensus, strength)
    assert (corrected >= 0).all()
    torch.testing.assert_close(corrected.sum(-1), torch.ones(6))
