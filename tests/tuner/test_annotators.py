"""Annotators: what their preferences do to prefixes and logits, and how they shrink."""

from __future__ import annotations

import pytest
import torch
from architectures import ARCHITECTURES, adapted, inputs, styles_of
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from dcpc.errors import UsageError
from dcpc.tuner.annotators import AnnotatorEffects
from tiny_models import with_module

BERT = ARCHITECTURES[0]
A, K, C = 3, 4, 3


def preferences(dropout: float = 0.0, groups: dict[str, str] | None = None) -> AnnotatorEffects:
    torch.manual_seed(0)
    module = AnnotatorEffects(["a", "b", "c"], groups, K, C, dropout, 0.7)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
    return module.eval()


def forward(model: torch.nn.Module, **extra: Tensor) -> Tensor:
    with torch.no_grad():
        return model(**inputs(BERT), **extra).logits


def test_kl_equals_that_of_torch_distributions() -> None:
    module = preferences(groups={"a": "g", "c": "h"})
    prior_mean = torch.stack([module.group_mean[0], torch.zeros(K), module.group_mean[1]])
    expected = kl_divergence(Normal(module.mean, module.log_std.exp()), Normal(prior_mean, 0.7)).sum()
    torch.testing.assert_close(module.kl(), expected)


def test_kl_gradient_matches_finite_differences() -> None:
    module = preferences(groups={"a": "g"}).double()

    def kl(*weights: Tensor) -> Tensor:
        names = ("mean", "log_std", "group_mean")
        for name, weight in zip(names, weights, strict=True):
            module._parameters[name] = weight
        return module.kl()

    start = tuple(
        w.detach().clone().requires_grad_() for w in (module.mean, module.log_std, module.group_mean)
    )
    assert torch.autograd.gradcheck(kl, start)


def test_ids_unknown_ids_and_groups_have_indices() -> None:
    module = preferences(groups={"a": "strict", "newcomer": "lenient"})
    assert module.index(["a", "c", "newcomer", "stranger"]).tolist() == [0, 2, 3, -1]
    u = module(torch.tensor([0, 2, 3, -1]))
    torch.testing.assert_close(
        u, torch.stack([module.mean[0], module.mean[2], module.group_mean[0], torch.zeros(K)])
    )
    with pytest.raises(UsageError, match="outside"):
        module(torch.tensor([5]))


def test_training_samples_the_posterior_and_evaluation_takes_its_mean() -> None:
    module = preferences()
    ids = torch.zeros(20_000, dtype=torch.long)
    assert torch.equal(module(ids[:2]), module.mean[:1].expand(2, K))
    samples = module.train()(ids)
    torch.testing.assert_close(samples.mean(0), module.mean[0], atol=0.2, rtol=0.05)
    torch.testing.assert_close(samples.std(0), module.log_std[0].exp(), atol=0.05, rtol=0.05)


def test_annotator_dropout_makes_annotators_unknown_in_training_only() -> None:
    module = preferences(dropout=0.3)
    ids = torch.zeros(20_000, dtype=torch.long)
    dropped = (module.train()(ids) == 0).all(dim=-1).float().mean()
    assert abs(dropped - 0.3) < 0.02
    assert not (module.eval()(ids) == 0).all(dim=-1).any()


def test_output_mode_adds_the_effect_by_its_definition() -> None:
    model = adapted(BERT, annotators=["a", "b", "c"])
    tuner = model.base_model
    plain = forward(model)
    module = tuner.dcpc_annotators["default"]
    mean, u = styles_of(model, **inputs(BERT)).mean[-1], module.mean[torch.tensor([2, 0, 1])]
    effect = ((mean + u).softmax(-1) - mean.softmax(-1)) @ module.style_effect + u @ module.direct_effect
    torch.testing.assert_close(forward(model, annotator_ids=torch.tensor([2, 0, 1])), plain + effect)
    assert effect.abs().max() > 0.1
    torch.testing.assert_close(forward(model, annotator_ids=torch.full((3,), -1)), plain, atol=0, rtol=0)


def test_judgements_of_an_item_share_its_forward_pass() -> None:
    model = adapted(BERT, annotators=["a", "b", "c"])
    plain = forward(model)
    ids, items = torch.tensor([0, 1, 2, -1]), torch.tensor([1, 1, 0, 2])
    styles = styles_of(model, **inputs(BERT))
    together = model.base_model.annotator_logits(plain, ids, items, styles)
    for row, (annotator, item) in enumerate(zip(ids, items, strict=True)):
        alone = forward(model, annotator_ids=annotator.expand(3))[item]
        torch.testing.assert_close(together[row], alone)


def test_population_is_the_mean_of_the_annotators_probabilities() -> None:
    model = adapted(BERT, annotators=["a", "b", "c"])
    plain = forward(model)
    tuner = model.base_model
    styles = styles_of(model, **inputs(BERT))
    found = tuner.population_probabilities(plain, styles)
    every = [
        tuner.annotator_logits(plain, torch.full((3,), a), torch.arange(3), styles).softmax(-1)
        for a in range(3)
    ]
    torch.testing.assert_close(found, torch.stack(every).mean(0))


def test_loss_belongs_to_the_annotators_logits() -> None:
    model = adapted(BERT, annotators=["a", "b", "c"])
    labels, ids = torch.tensor([0, 1, 2]), torch.tensor([2, 0, -1])
    output = model(**inputs(BERT), labels=labels, annotator_ids=ids)
    torch.testing.assert_close(output.loss, torch.nn.functional.cross_entropy(output.logits, labels))


def test_prefix_mode_conditions_every_layer_and_null_is_the_plain_model() -> None:
    model = adapted(BERT, annotators=["a", "b"], annotator_mode="prefix")
    plain = forward(model)
    before = styles_of(model, **inputs(BERT))
    ids = torch.tensor([0, -1, 1])
    known, after = forward(model, annotator_ids=ids), styles_of(model, **inputs(BERT), annotator_ids=ids)
    assert torch.equal(known[1], plain[1])
    assert (known[0] - plain[0]).abs().max() > 1e-3
    u = model.base_model.dcpc_annotators["default"].mean[0]
    torch.testing.assert_close(after.probabilities[0, 0], (before.mean[0, 0] + u).softmax(-1))


@pytest.mark.parametrize("mode", ["prefix", "output"])
def test_every_annotator_tensor_gets_a_gradient(mode: str) -> None:
    model = adapted(BERT, annotators=["a", "b"], annotator_groups={"a": "g"}, annotator_mode=mode)
    model.train()
    output = model(**inputs(BERT), labels=torch.tensor([0, 1, 2]), annotator_ids=torch.tensor([0, 1, 1]))
    (output.loss + model.base_model.annotator_kl()).backward()
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


def test_noise_is_drawn_in_training_only_and_can_be_given() -> None:
    model = adapted(BERT)
    model.train()
    assert not torch.equal(forward(model), forward(model))
    noise = torch.randn(3, 4)
    assert torch.equal(forward(model, noise=noise), forward(model, noise=noise))
    assert not torch.equal(forward(model, noise=noise), forward(model, noise=-noise))
    model.eval()
    assert torch.equal(forward(model), forward(model, noise=torch.zeros(3, 4)))


def test_noise_of_equation_11_is_shared_by_all_layers() -> None:
    model = adapted(BERT)
    noise = torch.randn(3, 4)
    state = styles_of(model, **inputs(BERT), noise=noise)
    torch.testing.assert_close(state.probabilities, (state.mean + state.std * noise).softmax(-1))


def test_annotators_without_a_model_of_them_are_refused() -> None:
    with pytest.raises(UsageError, match="knows no annotators"):
        forward(adapted(BERT), annotator_ids=torch.zeros(3).long())
    model = adapted(BERT, annotators=["a"], annotator_mode="prefix")
    logits = forward(model)
    with pytest.raises(UsageError, match="act on the prefix"):
        model.base_model.population_probabilities(logits)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_virtual_tokens": 0}, "num_virtual_tokens"),
        ({"num_corrected_tokens": 17}, "more than the 16"),
        ({"merge": "sum"}, "parallel, concat"),
        ({"annotator_mode": "logits"}, "none, prefix, output"),
        ({"annotator_dropout": 1.0}, "annotator_dropout"),
        ({"annotator_prior_std": 0.0}, "annotator_prior_std"),
        ({"annotators": []}, "empty"),
        ({"annotators": ["a", "a"]}, "twice"),
        ({"annotators": ["a"], "annotator_mode": "prefix", "correction": False}, "correction is off"),
        ({"annotators": ["a"], "task_type": "CAUSAL_LM"}, "one row of label logits"),
    ],
)
def test_config_says_what_does_not_fit(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        with_module(**settings)


def test_held_preferences_are_neither_sampled_nor_dropped_nor_trained() -> None:
    module = preferences(dropout=0.9).train()
    everybody = torch.arange(A)
    module.hold()
    torch.testing.assert_close(module(everybody), module.mean)
    assert not any(parameter.requires_grad for parameter in module.parameters())
    module.hold(False)
    assert not torch.equal(module(everybody), module.mean)
    assert all(parameter.requires_grad for parameter in module.parameters())
