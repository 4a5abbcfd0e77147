"""The regression behind the readout."""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax

from dcpc.regression.logistic import Judged
from dcpc.training.readout_regression import fit_readout

A = 20


def nameless(states: np.ndarray, labels: np.ndarray, n_classes: int = 2) -> Judged:
    """One judgement per item by nobody known."""
    n = len(labels)
    return Judged(states.astype(np.float32), np.arange(n), labels, np.full(n, -1), 0, n_classes)


def simulated(spread: float, n_items: int, seed: int = 0) -> tuple[Judged, np.ndarray, np.ndarray]:
    """Judgements of three labels, one per item, by annotators whose effects have this standard deviation.

    Returns:
        the judgements, the true logits of the items, and the true effects, centred.
    """
    rng = np.random.default_rng(seed)
    effects = spread * rng.standard_normal((A, 3))
    effects -= effects.mean(axis=1, keepdims=True)
    states = rng.normal(1.0, 2.0, (n_items, 12))
    logits = states @ rng.normal(size=(12, 3)) / 4
    annotators = rng.integers(A, size=n_items)
    p = np.exp(log_softmax(logits + effects[annotators], axis=1))
    labels = (p.cumsum(axis=1) < rng.random((n_items, 1))).sum(axis=1)
    return Judged(states, np.arange(n_items), labels, annotators, A, 3), logits, effects


def centred(logits: np.ndarray) -> np.ndarray:
    return logits - logits.mean(axis=1, keepdims=True)


def test_it_finds_a_linear_rule_and_shrinks_where_there_is_none() -> None:
    rng = np.random.default_rng(0)
    states = rng.normal(3.0, 2.0, (400, 20))
    labels = (states[:, 0] > 3).astype(int)
    p = np.exp(log_softmax(fit_readout(nameless(states, labels)).logits(states), axis=1))
    assert (p.argmax(axis=1) == labels).mean() > 0.95
    noise = rng.integers(2, size=400)
    p = np.exp(log_softmax(fit_readout(nameless(states, noise)).logits(states), axis=1))
    assert np.abs(p[:, 1] - noise.mean()).max() < 0.1


def test_one_item_and_a_label_that_nobody_gave_do_not_break_it() -> None:
    fit_readout(nameless(np.ones((1, 3)), np.zeros(1, dtype=int)))
    rng = np.random.default_rng(0)
    fitted = fit_readout(nameless(rng.normal(size=(30, 4)), rng.integers(2, size=30), n_classes=3))
    assert fitted.effects is None
    assert all(np.isfinite(part).all() for part in (fitted.weight, fitted.bias, fitted.spread))


def test_effects_are_found_at_their_size_where_there_are_any() -> None:
    judged, _, effects = simulated(1.5, 3000)
    found = fit_readout(judged).effects
    assert found is not None
    found = centred(found)
    assert np.corrcoef(found.ravel(), effects.ravel())[0, 1] > 0.95
    assert 0.8 < found.std() / effects.std() < 1.2


def test_effects_vanish_where_annotators_agree() -> None:
    found = fit_readout(simulated(0.0, 400)[0]).effects
    assert found is not None
    assert np.abs(centred(found)).max() < 0.35


def test_annotators_differences_are_no_noise_to_the_weights() -> None:
    """With effects, the items' own logits are found better than without, where annotators differ much."""
    errors: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(4):
        judged, logits, _ = simulated(4.0, 200, seed)
        for knows in errors:
            data = judged if knows else nameless(judged.features, judged.labels, 3)
            found = centred(fit_readout(data).logits(judged.features))
            errors[knows].append(1 - np.corrcoef(found.ravel(), centred(logits).ravel())[0, 1])
    assert np.mean(errors[True]) < 0.75 * np.mean(errors[False])
