"""Effects of raters: each can be switched off, is shrunk, and falls back to the group's or the pool's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from dcpc.errors import ModelError, UsageError
from dcpc.preference.raters import Comparison, RaterConfig, RaterModel

LABELS = ("a", "b", "tie")
ALL = RaterConfig(ties=1.0, sides=0.5, errors=1.0, tastes=0.7, styles=3)


def pairs(n: int = 6, features: int = 5) -> Comparison:
    return Comparison(torch.randn(n), torch.randn(n, features))


def spread(model: RaterModel) -> RaterModel:
    """With effects that are not 0."""
    assert model.effects is not None
    torch.nn.init.normal_(model.effects.mean)
    if model.effects.group_mean is not None:
        torch.nn.init.normal_(model.effects.group_mean)
    return model.eval()


def test_without_effects_raters_vote_as_the_pool() -> None:
    model = RaterModel(["r", "s"], LABELS, config=RaterConfig.none()).eval()
    found = pairs()
    torch.testing.assert_close(model(found, model.index(["r"] * 6)), model(found))
    assert [name for name, _ in model.named_parameters()] == ["thresholds"]


@pytest.mark.parametrize("labels", [LABELS, ("a", "slightly a", "tie", "slightly b", "b"), ("a", "b")])
def test_the_pool_is_blind_to_sides(labels: tuple[str, ...]) -> None:
    model = spread(RaterModel(["r", "s"], labels, config=ALL, n_features=5))
    found = pairs()
    votes, swapped = model(found), model(found.mirrored())
    torch.testing.assert_close(votes[:, model.scale.mirror], swapped, atol=1e-5, rtol=0)


def test_unknown_raters_fall_back_to_their_group_and_then_to_the_pool() -> None:
    model = spread(RaterModel(["r"], LABELS, {"r": "x", "new": "x"}, ALL, n_features=5))
    found = pairs()
    strange, grouped = model(found, model.index(["who"] * 6)), model(found, model.index(["new"] * 6))
    torch.testing.assert_close(strange, model(found))
    assert not torch.allclose(grouped, strange)


@pytest.mark.parametrize("effect", ["ties", "sides", "tastes", "errors"])
def test_each_effect_acts_alone(effect: str) -> None:
    config = RaterConfig.none(**{effect: 1.0})
    model = spread(RaterModel(["r", "s"], LABELS, config=config, n_features=5))
    found = pairs()
    pool, own = model(found), model(found, model.index(["r"] * 6))
    odds = lambda votes: votes[:, 0] - votes[:, 1]  # noqa: E731
    assert not torch.allclose(own, pool)
    same_odds = torch.allclose(odds(own), odds(pool), atol=1e-5)
    assert same_odds == (effect == "ties")
    if effect == "sides":
        shift = odds(own) - odds(pool)
        torch.testing.assert_close(shift, shift[:1].expand(6), atol=1e-5, rtol=0)


def fitted(model: RaterModel, found: Comparison, votes: Tensor, raters: Tensor, index: Tensor) -> RaterModel:
    """By maximum a posteriori, the margins held."""
    model.eval()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        chosen = model(found, raters, index).gather(1, votes[:, None])
        loss = (model.kl() - chosen.sum()) / len(votes)
        loss.backward()
        return loss

    optimizer.step(closure)
    return model


def test_thresholds_are_recovered_and_thin_evidence_is_shrunk() -> None:
    """Rater r calls ties often, s seldom, and t has two votes, both ties."""
    generator = torch.Generator().manual_seed(0)
    found = Comparison(torch.randn(400, generator=generator))
    true = {"r": 1.5, "s": -1.5}
    votes, raters, index = [], [], []
    for name, log_nu in true.items():
        logits = torch.stack([found.margin / 2, -found.margin / 2, torch.full((400,), log_nu)], dim=1)
        votes.append(torch.multinomial(logits.softmax(1), 1, generator=generator).squeeze(1))
        raters += [name] * 400
        index.append(torch.arange(400))
    raters += ["t", "t"]
    votes.append(torch.tensor([2, 2]))
    index.append(torch.tensor([0, 1]))
    model = RaterModel(["r", "s", "t"], LABELS, config=RaterConfig.none(ties=1.0))
    fitted(model, found, torch.cat(votes), model.index(raters), torch.cat(index))
    assert model.effects is not None
    own = (model.thresholds + model.effects.mean[:, 0]).detach()
    assert own[0].item() == pytest.approx(1.5, abs=0.3)
    assert own[1].item() == pytest.approx(-1.5, abs=0.35)
    assert own[1] < own[2] < own[0]
    assert abs(own[2] - model.thresholds.detach()[0]) < 1.0


def test_saved_raters_vote_the_same(tmp_path: Path) -> None:
    model = spread(RaterModel(["r", "s"], LABELS, {"r": "x"}, ALL, n_features=5))
    model.save(tmp_path)
    again, found = RaterModel.load(tmp_path), pairs()
    who = ["r", "s", "new", "r", "s", "r"]
    torch.testing.assert_close(again(found, again.index(who)), model(found, model.index(who)))


def test_raters_that_cannot_be_read_are_one_message(tmp_path: Path) -> None:
    RaterModel(["r"], LABELS).save(tmp_path)
    (tmp_path / "raters.json").write_text("{")
    with pytest.raises(ModelError, match=r"raters\.json"):
        RaterModel.load(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"ties": -1.0}, "ties"), ({"tastes": 1.0, "styles": 1}, "styles"), ({"dropout": 1.0}, "dropout")],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RaterConfig(**settings)  # type: ignore[arg-type]


def test_tastes_need_features() -> None:
    with pytest.raises(UsageError, match="features"):
        RaterModel(["r"], LABELS, config=RaterConfig(tastes=1.0))
    model = RaterModel(["r"], LABELS, config=RaterConfig(tastes=1.0), n_features=3)
    with pytest.raises(UsageError, match="there are none"):
        model(Comparison(torch.zeros(1)), model.index(["r"]))
