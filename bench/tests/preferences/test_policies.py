"""The study of policies: simulated votes, margins, the choice of a setting, and the table."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcpc_bench.preferences.policies import (
    FLIPS,
    METHODS,
    NOISE,
    RATERS,
    margins,
    simulated,
    tiny_llama,
    tiny_tokenizer,
    trained,
    vote_loss,
)
from dcpc_bench.preferences.policy_page import policy_table


def test_votes_follow_their_raters_taste_but_for_the_flipped_ones() -> None:
    votes = simulated(300, 0.2, np.random.SeedSequence(0))
    table = votes.table
    politer = table["response_a"].str.count("please") > table["response_b"].str.count("please")
    liked = np.where(politer, 1, -1) * table["annotator_id"].map(RATERS)
    assert ((liked > 0) == (table["label"] == "a")).mean() == pytest.approx(0.8, abs=0.04)
    assert not set(NOISE) & set(FLIPS), "nobody is told the simulated share"


def test_what_predicts_votes_better_has_the_lower_loss_whatever_its_scale() -> None:
    torch.manual_seed(0)
    margin = torch.randn(2000)
    sign = torch.where(torch.rand(2000) < torch.sigmoid(2 * margin), 1.0, -1.0)
    good, worse = vote_loss(margin, sign), vote_loss(margin + torch.randn(2000), sign)
    assert good < worse < 0.6931
    assert vote_loss(100 * margin, sign) == pytest.approx(good, abs=1e-5)


def test_a_policy_learns_the_larger_camps_taste_and_an_untrained_one_has_no_margin() -> None:
    pytest.importorskip("trl")
    votes = simulated(96, 0.0, np.random.SeedSequence(1))
    policy, tokenizer = trained("raters", votes, 0, {"errors": 1.5})
    test = simulated(100, 0.0, np.random.SeedSequence(2), {"judge": 1})
    sign = torch.from_numpy(np.where(test.table["label"] == "a", 1.0, -1.0))
    assert (margins(policy, test, tokenizer) * sign > 0).float().mean() > 0.6
    with policy.disable_adapter():
        assert margins(policy, test, tokenizer).abs().max() < 1e-5
    assert len(tiny_tokenizer()) == tiny_llama(tiny_tokenizer()).config.vocab_size


def test_the_table_compares_with_the_best_other_method() -> None:
    cells = [
        {
            "flips": 0.3,
            "seed": seed,
            "method": method,
            "accuracy": 0.8 + 0.05 * (method == "raters") + 0.01 * seed,
        }
        for seed in range(3)
        for method in METHODS
    ]
    found = policy_table(cells)
    assert "| DPO with raters (this library) | 86.0 ± 0.8 |" in found
    assert "+5.0 [+5.0, +5.0] (DPO)" in found
