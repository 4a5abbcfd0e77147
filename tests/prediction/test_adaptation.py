"""New annotators are learned from a few judgements, and nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from peft import get_peft_model_state_dict

from dcpc.adapter import TrainedAdapter, load_adapter
from dcpc.data import Annotations
from dcpc.errors import LabelError, UsageError
from dcpc.fit import train_adapter
from dcpc.prediction import predict_annotators, predict_distribution
from dcpc.training.groups import annotator_groups
from dcpc.tuner.annotator_posterior import Prior, posterior_points
from dcpc.tuner.annotators import AnnotatorEffects
from tiny_language_models import save_tiny_language_model
from tiny_models import save_tiny_bert

STRICT, LENIENT = ("s1", "s2", "s3"), ("l1", "l2", "l3")


def judgements(who: dict[str, float], n_items: int = 24, first: int = 0) -> Annotations:
    """Items are good to a degree; a person says yes from their threshold on."""
    rows = [
        {"item_id": f"i{i}", "text": f"the film was {'good ' * (i % 6)}plot", "annotator_id": name}
        | {"label": "yes" if i % 6 >= threshold else "no", "team": name[0]}
        for i in range(first, first + n_items)
        for name, threshold in who.items()
    ]
    return Annotations(pd.DataFrame(rows), labels=("no", "yes"))


def everyone() -> Annotations:
    return judgements(dict.fromkeys(STRICT, 5) | dict.fromkeys(LENIENT, 1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("adaptation")
    trained(place).save(place / "adapter")
    return place / "adapter"


def trained(place: Path, group_column: str | None = None, **adapter: Any) -> TrainedAdapter:
    data = everyone()
    groups = {} if group_column is None else {"annotator_groups": annotator_groups(data, group_column)}
    found = train_adapter(
        data,
        None,
        base_model=save_tiny_bert(place / "base", mean_pooling=True),
        adapter={**adapter, **groups},
        training={"max_steps": 4},
        progress=False,
    )
    found.task = found.task.model_copy(update={"group_column": group_column})
    return found


def shares(adapter: TrainedAdapter, name: str, data: Annotations | None = None) -> np.ndarray:
    items = (data or everyone()).items
    codes = np.arange(len(items))
    return predict_annotators(adapter, items, codes, [name] * len(items))[:, 1]


def test_a_strict_person_is_told_from_a_lenient_one_and_few_judgements_say_little(folder: Path) -> None:
    adapter = load_adapter(folder)
    population = predict_distribution(adapter, everyone().items)[:, 1]
    new = {"strict": 5, "lenient": 1}
    done = adapter.adapt(judgements(new, 12))
    assert (done.annotators, done.judgements, done.notes) == (["lenient", "strict"], [12, 12], [])
    strict, lenient = shares(adapter, "strict"), shares(adapter, "lenient")
    assert strict.mean() < population.mean() - 0.05
    assert lenient.mean() > population.mean() + 0.05
    one = load_adapter(folder)
    one.adapt(judgements({"strict": 5}, 1, first=4))
    assert strict.mean() < shares(one, "strict").mean() < population.mean()


def test_nothing_else_changes_and_what_is_saved_predicts_the_same(folder: Path, tmp_path: Path) -> None:
    before, adapter = load_adapter(folder), load_adapter(folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    adapter.adapt(judgements({"new": 5}, 6))
    adapter.save(tmp_path / "more")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    again = load_adapter(tmp_path / "more")
    old, new = (get_peft_model_state_dict(a.model) for a in (before, again))
    assert {name for name in new if name not in old} == {"base_model.dcpc_annotators.adapted"}
    assert all(torch.equal(old[name], new[name]) for name in old)
    items = everyone().items
    assert np.array_equal(predict_distribution(before, items), predict_distribution(again, items))
    assert np.array_equal(shares(before, "s1"), shares(again, "s1"))
    np.testing.assert_allclose(shares(adapter, "new"), shares(again, "new"), atol=1e-6)
    assert again.annotators == [*before.annotators, "new"]
    assert set(again.predict(items, "annotators")["annotator_id"]) == set(again.annotators)
    assert again.evaluate(judgements({"new": 5}))["judgement_error"] >= 0


def test_later_judgements_are_added_to_the_earlier_ones(folder: Path) -> None:
    twice, once = load_adapter(folder), load_adapter(folder)
    twice.adapt(judgements({"new": 4}, 6))
    first = shares(twice, "new")
    twice.adapt(judgements({"other": 1}, 6))
    assert np.array_equal(shares(twice, "new"), first)
    twice.adapt(judgements({"new": 4}, 6, first=6))
    once.adapt(judgements({"new": 4}, 12))
    np.testing.assert_allclose(shares(twice, "new"), shares(once, "new"), atol=0.02)
    assert np.abs(first - shares(once, "new")).max() > 0.02


def test_known_annotators_stay_and_are_counted(folder: Path) -> None:
    adapter = load_adapter(folder)
    before = shares(adapter, "s1")
    done = adapter.adapt(judgements({"s1": 1, "new": 5}, 6))
    assert done.annotators == ["new"]
    assert done.notes == [
        "6 judgements of annotators whom the training knew were left out, and these stay as they are: s1."
    ]
    assert np.array_equal(shares(adapter, "s1"), before)
    with pytest.raises(UsageError, match="every judgement is by an annotator whom the adapter knows"):
        adapter.adapt(judgements({"s1": 1}, 6))


def test_a_member_of_a_group_starts_at_the_group(tmp_path: Path) -> None:
    adapter = trained(tmp_path, group_column="team")
    one = judgements({"sx": 5}, 1)  # says no, of an item that nobody likes: it tells nothing
    adapter.adapt(one)
    grouped = shares(adapter, "sx").mean()
    adapter.adapt(
        Annotations(one.table.assign(annotator_id="nobody").drop(columns="team"), labels=("no", "yes"))
    )
    assert grouped < shares(adapter, "nobody").mean()


def test_what_cannot_be_adapted_says_why(folder: Path, tmp_path: Path) -> None:
    adapter = load_adapter(folder)
    few = judgements({"new": 5}, 6)
    with pytest.raises(UsageError, match="name no annotators"):
        adapter.adapt(Annotations(few.table.drop(columns="annotator_id"), labels=("no", "yes")))
    other = few.table.assign(label=few.table["label"].replace("yes", "perhaps"))
    with pytest.raises(LabelError, match="perhaps is none of the adapter's"):
        adapter.adapt(Annotations(other, labels=("no", "perhaps")))
    with pytest.raises(UsageError, match="knows no annotators"):
        trained(tmp_path / "none", annotator_mode="none").adapt(few)
    with pytest.raises(UsageError, match="act inside the model"):
        trained(tmp_path / "prefix", annotator_mode="prefix", correction=True).adapt(few)


@pytest.mark.parametrize("style", [False, True])
def test_the_points_have_the_posteriors_mean_and_covariance(style: bool) -> None:
    torch.manual_seed(0)
    effects = AnnotatorEffects([f"a{n}" for n in range(9)], None, 3, 4, 0.1, 1.0).double()
    with torch.no_grad():
        effects.mean.normal_()
        if not style:
            effects.style_effect.zero_()  # type: ignore[union-attr]
    prior = Prior.of(effects)
    logits, means = torch.randn(20, 4).double(), torch.randn(20, 3).double()
    labels = torch.randint(4, (20,))
    points = posterior_points(effects, prior, logits, means, labels)
    assert points.shape == (6, 3)

    def loss(u: torch.Tensor) -> torch.Tensor:
        found = logits + effects.effect(means, u.expand(20, 3))
        t = torch.linalg.lstsq(prior.scale, u - prior.mean).solution
        return t.square().sum() / 2 - found.log_softmax(-1).gather(1, labels[:, None]).sum()

    best = points.mean(dim=0)
    gradient = torch.autograd.functional.jacobian(loss, best)
    np.testing.assert_allclose(gradient.numpy(), 0, atol=1e-3)
    if not style:  # there the curvature is exact, and not that of Gauss and Newton
        spread = points - best
        curvature = torch.autograd.functional.hessian(loss, best)
        np.testing.assert_allclose((spread.T @ spread / 6).numpy(), curvature.inverse().numpy(), atol=1e-6)


def test_somebody_without_judgements_is_predicted_as_the_population(folder: Path) -> None:
    adapter = load_adapter(folder)
    adapter.adapt(judgements({"new": 5}, 6))
    population = predict_distribution(adapter, everyone().items)[:, 1]
    np.testing.assert_allclose(shares(adapter, "nobody"), population, atol=1e-6)


def test_several_annotators_at_once_are_learned_as_each_alone(folder: Path) -> None:
    together, alone = load_adapter(folder), load_adapter(folder)
    together.adapt(judgements({"new": 5, "other": 1, "third": 3}, 12))
    alone.adapt(judgements({"other": 1}, 12))
    np.testing.assert_allclose(shares(together, "other"), shares(alone, "other"), atol=1e-6)


def test_a_hundred_judgements_that_all_say_one_thing_stay_finite(folder: Path) -> None:
    adapter = load_adapter(folder)
    adapter.adapt(judgements({"no-sayer": 99}, 400))
    found = shares(adapter, "no-sayer")
    assert np.isfinite(found).all()
    assert found.max() < 0.5


def test_annotators_of_a_language_models_own_words_are_learned(tmp_path: Path) -> None:
    words = {"name": "label-words", "words": {"no": ["bad"], "yes": ["good"]}}
    adapter = train_adapter(
        everyone(),
        None,
        base_model=save_tiny_language_model(tmp_path / "base"),
        task=words,
        training={"max_steps": 3, "learning_rate": 3e-2},
        progress=False,
    )
    population = predict_distribution(adapter, everyone().items)[:, 1]
    adapter.adapt(judgements({"strict": 99, "lenient": 0}, 24))
    assert shares(adapter, "strict").mean() < population.mean() < shares(adapter, "lenient").mean()
    adapter.save(tmp_path / "adapter")
    again = load_adapter(tmp_path / "adapter")
    np.testing.assert_allclose(shares(again, "strict"), shares(adapter, "strict"), atol=1e-5)
