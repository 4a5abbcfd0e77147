"""Raters' effects a posteriori: thresholds and sides from votes alone, and new raters beside known ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcpc.errors import UsageError
from dcpc.preference import Comparison, RaterConfig, RaterModel
from dcpc.preference.fitting import fit_raters, start_raters
from dcpc.preference.new_raters import with_new_raters
from preference.tiny_policy import simulated_votes

LABELS = ("a", "b", "tie")


def simulated(n: int, log_nu: float, side: float, seed: int = 0) -> tuple[Comparison, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    margin = torch.randn(n, generator=generator)
    lead = (margin + side) / 2
    logits = torch.stack([lead, -lead, torch.full((n,), log_nu)], dim=1)
    return Comparison(margin), torch.multinomial(logits.softmax(dim=1), 1, generator=generator)[:, 0]


def test_thresholds_and_sides_of_raters_are_found() -> None:
    truth = {"x": (1.0, 0.0), "y": (-1.0, 0.8), "z": (0.0, -0.8)}
    drawn = [simulated(800, *numbers, seed=i) for i, numbers in enumerate(truth.values())]
    margin, votes = torch.cat([pairs.margin for pairs, _ in drawn]), torch.cat([each for _, each in drawn])
    model = RaterModel(list(truth), LABELS, None, RaterConfig(ties=1.0, sides=1.0))
    fit_raters(model, Comparison(margin), votes, model.index([who for who in truth for _ in range(800)]))
    assert model.effects is not None
    found = model.effects.mean.detach() * model.scales
    ties, sides = zip(*truth.values(), strict=True)
    assert model.thresholds.item() + found[:, 0].numpy() == pytest.approx(np.array(ties), abs=0.25)
    assert found[:, 1].numpy() == pytest.approx(np.array(sides), abs=0.25)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_few_votes_are_shrunk_and_none_leave_a_rater_at_the_pool() -> None:
    model = RaterModel(["few", "none"], LABELS, None, RaterConfig(ties=0.5, sides=0.0))
    fit_raters(
        model, Comparison(torch.zeros(2)), torch.tensor([2, 2]), model.index(["few", "few"]), pool=False
    )
    assert model.effects is not None
    few, none = (model.effects.mean.detach() * model.scales)[:, 0].tolist()
    assert 0.1 < few < 1.0
    assert none == 0.0


def test_new_raters_are_learned_and_the_known_ones_stay() -> None:
    pairs, votes = simulated(300, 0.0, 0.0)
    model = RaterModel(["x", "y"], LABELS, {"x": "g", "y": "g"}, RaterConfig(ties=1.0, sides=0.5))
    fit_raters(model, pairs, votes, model.index(["x", "y"] * 150))
    undecided = torch.full((10,), 2)
    more = with_new_raters(
        model, ["new", "silent"], Comparison(torch.zeros(10)), undecided, ["new"] * 10, groups={"silent": "g"}
    )
    assert more.raters == ["x", "y", "new", "silent"]
    same = Comparison(torch.zeros(1))
    for who in ("x", "y"):
        torch.testing.assert_close(more(same, more.index([who])), model.eval()(same, model.index([who])))
    tie = {who: more(same, more.index([who])).exp()[0, 2].item() for who in more.raters}
    assert tie["new"] > tie["x"] + 0.2
    with pytest.raises(UsageError, match="known from the training"):
        with_new_raters(more, ["x"], same, torch.tensor([0]), ["x"])
    with pytest.raises(UsageError, match="no effects"):
        with_new_raters(RaterModel([], LABELS), ["new"], same, torch.tensor([0]), ["new"])


def test_error_rates_start_where_raters_agreement_puts_them() -> None:
    truth = {"sure": 0.05, "rash": 0.35, "sober": 0.1, "against": 0.9}
    votes, _ = simulated_votes(dict.fromkeys(truth, 1.0), truth, n_pairs=500, votes_per_pair=4)
    model = RaterModel(sorted(truth), votes.labels, None, RaterConfig(ties=0.0, sides=0.3, errors=3.0))
    start_raters(model, votes)
    assert model.effects is not None
    assert model.error_log_odds is not None
    own = model.effects.mean[:, 1] * model.scales[1]
    found = torch.sigmoid(model.error_log_odds + own).detach().numpy()
    assert found == pytest.approx([truth[who] for who in sorted(truth)], abs=0.08)


def test_votes_on_pairs_of_their_own_say_nothing_of_errors() -> None:
    votes, _ = simulated_votes({"x": 1.0, "y": 1.0}, {"x": 0.0, "y": 0.5}, n_pairs=100, votes_per_pair=1)
    model = start_raters(RaterModel(["x", "y"], votes.labels, None, RaterConfig.none(errors=1.0)), votes)
    assert model.effects is not None
    assert model.error_log_odds is not None
    assert torch.sigmoid(model.error_log_odds).item() == pytest.approx(0.3, abs=1e-4)
    assert model.effects.mean.abs().max().item() < 1e-4


@pytest.mark.parametrize("seed", range(8))
def test_most_votes_are_taken_to_be_right_however_close_it_is(seed: int) -> None:
    truth = {f"r{i}": 0.3 if i < 8 else 0.7 for i in range(12)}
    votes, _ = simulated_votes(dict.fromkeys(truth, 1.0), truth, n_pairs=400, seed=seed)
    model = start_raters(RaterModel(sorted(truth), votes.labels, None, RaterConfig.none(errors=3.0)), votes)
    assert model.effects is not None
    assert model.error_log_odds is not None
    own = model.effects.mean[:, 0] * model.scales[0]
    found = dict(zip(sorted(truth), torch.sigmoid(model.error_log_odds + own).tolist(), strict=True))
    assert sum(found[who] for who in votes.table["annotator_id"]) <= 0.5 * votes.n_judgements


@pytest.mark.parametrize("tastes", [0.0, 0.5])
def test_votes_that_come_in_two_parts_teach_what_all_of_them_at_once_do(tastes: float) -> None:
    torch.manual_seed(0)
    config = RaterConfig(ties=1.0, sides=0.5, tastes=tastes, styles=2)
    model = RaterModel(["x", "y"], LABELS, None, config, n_features=3).eval()
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(80, 3, generator=generator)
    pairs = Comparison(features @ torch.tensor([1.0, 0.0, -1.0]), features if tastes else None)
    votes = torch.randint(0, 3, (80,), generator=generator)
    who = ["new", "other"] * 40
    every = torch.arange(80)
    once = with_new_raters(model, ["new", "other"], pairs, votes, who, every)
    twice = model
    for part in (every[:30], every[30:]):
        twice = with_new_raters(
            twice, ["new", "other"], pairs, votes[part], [who[place] for place in part], part
        )
    assert twice.raters == once.raters
    assert once.effects is not None
    assert twice.effects is not None
    assert once.effects.mean[2:].abs().max() > 0.2
    torch.testing.assert_close(twice.effects.mean, once.effects.mean, atol=0.05, rtol=0)
    torch.testing.assert_close(twice.precision, once.precision, atol=1.0, rtol=0.05)
    only = with_new_raters(once, ["other"], pairs, votes[:0], [], every[:0])
    assert only.raters == ["x", "y", "new", "other"]
    torch.testing.assert_close(only.effects.mean, once.effects.mean)  # type: ignore[union-attr]
