"""On simulated experiments whose truth is known, the tests claim no more than they may."""

from __future__ import annotations

import numpy as np
import pytest
from paired import PairedRun, paired_bootstrap
from scipy.stats import friedmanchisquare, ttest_1samp
from sklearn.metrics import f1_score

from dcpc.errors import UsageError
from dcpc_bench.statistics import holm, rank_methods
from dcpc_bench.statistics.pooling import SetDifference, pooled_difference
from dcpc_bench.statistics.ranks import critical_difference
from dcpc_bench.statistics.significance import (
    compare_over_seeds,
    draw_items,
    from_variances,
    macro_f1,
    weighted_mean,
    weighted_ratio,
)

N_ITEMS, SIMULATIONS, REPLICATES = 80, 300, 50
# Three standard errors of a rate of 5 % over the simulations.
HIGHEST_FALSE_RATE = 0.05 + 3 * (0.05 * 0.95 / SIMULATIONS) ** 0.5


def simulate(
    rng: np.random.Generator, effect: float, n_seeds: int, seed_sd: float, *, shared: bool
) -> list[PairedRun]:
    """Losses of two methods: the first is worse by `effect`, both vary by seed, by item and by chance."""
    runs, common = [], rng.normal(0, 0.5, N_ITEMS)
    for s in range(n_seeds):
        ids = np.arange(N_ITEMS) + (0 if shared else s * N_ITEMS)
        preference = common if shared else rng.normal(0, 0.5, N_ITEMS)
        base = rng.normal(0, 1, N_ITEMS)
        gap = effect + rng.normal(0, seed_sd) + preference + rng.normal(0, 0.3, N_ITEMS)
        runs.append(PairedRun(ids, base + gap, base))
    return runs


def rejection_rate(effect: float, n_seeds: int, seed_sd: float, *, shared: bool) -> float:
    rng = np.random.default_rng(1)
    return float(
        np.mean(
            [
                paired_bootstrap(
                    simulate(rng, effect, n_seeds, seed_sd, shared=shared), replicates=REPLICATES
                ).p_value
                < 0.05
                for _ in range(SIMULATIONS)
            ]
        )
    )


@pytest.mark.parametrize("shared", [True, False], ids=["same items", "own items"])
@pytest.mark.parametrize(("n_seeds", "seed_sd"), [(3, 0.0), (3, 0.05), (3, 0.3), (5, 0.1)])
def test_equal_methods_differ_in_at_most_five_percent(n_seeds: int, seed_sd: float, shared: bool) -> None:
    assert rejection_rate(0.0, n_seeds, seed_sd, shared=shared) <= HIGHEST_FALSE_RATE


@pytest.mark.parametrize("ratio", [0.1, 0.8, 3.2, 10.0])
def test_three_seeds_stay_at_five_percent_at_every_mixture_of_the_variances(ratio: float) -> None:
    """Tight enough to tell this rule from the one of Welch and Satterthwaite: 7 to 8 % at the larger ratios."""
    rng, n = np.random.default_rng(0), 4000
    seeds = rng.normal(
        0, (3 * ratio) ** 0.5, (n, 3)
    )  # so that their mean has the variance `ratio`, beside 1 of items
    means = seeds.mean(axis=1) + rng.normal(0, 1, n)
    variances = seeds.var(axis=1, ddof=1) / 3
    found = [
        from_variances(mean, variance, 1.0, degrees=(2, 200), n_seeds=3).p_value
        for mean, variance in zip(means, variances, strict=True)
    ]
    assert np.mean(np.array(found) <= 0.05) <= 0.05 + 3 * (0.05 * 0.95 / n) ** 0.5


def test_power_rises_with_the_effect() -> None:
    power = [rejection_rate(effect, 5, 0.1, shared=True) for effect in (0.0, 0.2, 0.6)]
    assert power[0] < power[1] < power[2]
    assert power[2] > 0.95


def test_intervals_cover_the_truth() -> None:
    rng, covered = np.random.default_rng(2), 0
    for _ in range(SIMULATIONS):
        result = paired_bootstrap(simulate(rng, 0.2, 3, 0.1, shared=True), replicates=REPLICATES)
        covered += result.low <= 0.2 <= result.high
    assert covered / SIMULATIONS >= 1 - HIGHEST_FALSE_RATE


def test_where_only_seeds_vary_it_is_the_paired_t_test() -> None:
    gaps = [0.1, 0.3, 0.2]
    runs = [PairedRun(np.arange(5), np.full(5, gap), np.zeros(5)) for gap in gaps]
    result = paired_bootstrap(runs)
    expected = ttest_1samp(gaps, 0)
    assert result.p_value == pytest.approx(expected.pvalue)
    assert (result.low, result.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_one_seed_gives_the_variation_of_the_items() -> None:
    rng = np.random.default_rng(3)
    loss = rng.normal(0.2, 1, 400)
    result = paired_bootstrap([PairedRun(np.arange(400), loss, np.zeros(400))], replicates=2000)
    expected = ttest_1samp(loss, 0)
    assert result.p_value == pytest.approx(expected.pvalue, abs=0.01)
    assert result.n_seeds == 1


def test_identical_predictions_do_not_differ() -> None:
    run = PairedRun(np.arange(4), np.ones(4), np.ones(4))
    result = paired_bootstrap([run, run])
    assert (result.difference, result.p_value) == (0, 1)


def test_weighted_scores_equal_scikit_learn_on_repeated_items() -> None:
    rng = np.random.default_rng(4)
    records, weights = rng.integers(0, 3, (50, 2)), rng.integers(1, 4, 50)
    rows = records.repeat(weights, axis=0)
    assert macro_f1(records, weights) == pytest.approx(f1_score(rows[:, 0], rows[:, 1], average="macro"))
    assert weighted_mean(records[:, 0], weights) == pytest.approx(rows[:, 0].mean())


def test_macro_f1_can_be_compared() -> None:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 2, (3, 300))
    runs = []
    for t in truth:
        good, bad = (np.where(rng.random(300) < rate, t, 1 - t) for rate in (0.9, 0.6))
        runs.append(PairedRun(np.arange(300), np.stack([t, good], 1), np.stack([t, bad], 1)))
    result = paired_bootstrap(runs, macro_f1, replicates=200)
    assert result.low > 0.15
    assert result.p_value < 0.05


def test_holm_on_a_worked_example() -> None:
    # Sorted: .005·4 = .02, .01·3 = .03, .03·2 = .06, .04·1 = .04 raised to .06.
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert holm([]).shape == (0,)
    assert holm([0.6, 0.9]).tolist() == [1, 1]


def test_holm_keeps_the_family_wise_error() -> None:
    p = np.random.default_rng(6).random((4000, 10))
    assert np.mean([(holm(row) <= 0.05).any() for row in p]) <= 0.05 + 3 * (0.05 * 0.95 / 4000) ** 0.5


def test_critical_difference_equals_demsars_table() -> None:
    # Demšar 2006: q of .05 is 2.343, 2.569, 2.728 for 3, 4, 5 methods; 4 on 14 sets need 1.25.
    for n_methods, quantile in [(3, 2.343), (4, 2.569), (5, 2.728)]:
        scale = (n_methods * (n_methods + 1) / (6 * 14)) ** 0.5
        assert critical_difference(n_methods, 14) == pytest.approx(quantile * scale, abs=1e-3)
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.01)


def test_ranks_share_ties_and_follow_the_direction() -> None:
    scores = np.array([[0.9, 0.8, 0.8], [0.7, 0.6, 0.5], [0.9, 0.4, 0.6]])
    ranking = rank_methods(scores, higher_is_better=True)
    np.testing.assert_allclose(ranking.mean_ranks, [1, (2.5 + 2 + 3) / 3, (2.5 + 3 + 2) / 3])
    assert ranking.friedman_p == pytest.approx(friedmanchisquare(*scores.T).pvalue)
    losses = rank_methods(-scores, higher_is_better=False)
    np.testing.assert_array_equal(losses.mean_ranks, ranking.mean_ranks)
    assert rank_methods(np.ones((4, 3)), higher_is_better=True).friedman_p == 1
    with pytest.raises(UsageError, match="finite"):
        rank_methods([[1, 2, np.nan], [1, 2, 3]], higher_is_better=True)


def simulate_sets(
    rng: np.random.Generator, effects: tuple[float, ...], n_seeds: int, seed_sd: float
) -> list[SetDifference]:
    """One `SetDifference` per effect, with samples of its items as the bootstrap makes them."""
    sets = []
    for k, effect in enumerate(effects):
        runs = simulate(rng, effect, n_seeds, seed_sd * (1 + k), shared=True)
        drawn = draw_items(N_ITEMS, REPLICATES, int(rng.integers(2**31)))
        gaps = np.stack([run.first - run.second for run in runs], axis=1)  # [items, S]
        sets.append(SetDifference(gaps.mean(axis=0), drawn @ gaps / N_ITEMS, N_ITEMS))
    return sets


def pooled_rejection_rate(effects: tuple[float, ...], n_seeds: int, seed_sd: float) -> float:
    rng = np.random.default_rng(7)
    sets = (simulate_sets(rng, effects, n_seeds, seed_sd) for _ in range(SIMULATIONS))
    return float(np.mean([pooled_difference(own).p_value < 0.05 for own in sets]))


@pytest.mark.parametrize(
    ("n_sets", "n_seeds", "seed_sd"), [(2, 3, 0.3), (4, 2, 0.1), (4, 3, 0.0), (4, 3, 0.3)]
)
def test_equal_methods_differ_over_sets_in_at_most_five_percent(
    n_sets: int, n_seeds: int, seed_sd: float
) -> None:
    assert pooled_rejection_rate((0.0,) * n_sets, n_seeds, seed_sd) <= HIGHEST_FALSE_RATE


def test_power_over_sets_rises_with_the_effect_and_with_the_sets() -> None:
    power = [pooled_rejection_rate((effect,) * 4, 3, 0.05) for effect in (0.0, 0.08, 0.3)]
    assert power[0] < power[1] < power[2]
    assert power[2] > 0.95
    assert pooled_rejection_rate((0.08,), 3, 0.05) < power[1]
    # The sets are fixed: effects that cancel out are no difference of the mean.
    assert pooled_rejection_rate((0.2, -0.2, 0.2, -0.2), 3, 0.05) <= HIGHEST_FALSE_RATE


def test_one_set_pooled_is_that_set() -> None:
    rng = np.random.default_rng(8)
    own = simulate_sets(rng, (0.2,), 3, 0.1)[0]
    assert pooled_difference([own]) == compare_over_seeds(own.points, own.samples, own.n_items)
    with pytest.raises(UsageError, match="at least one set"):
        pooled_difference([])


def test_sets_weigh_as_told() -> None:
    def at(level: float, weight: float) -> SetDifference:
        return SetDifference(np.full(2, level), np.full((9, 2), level), 5, weight)

    assert pooled_difference([at(1.0, 3), at(0.0, 1)]).difference == pytest.approx(0.75)


def test_holm_over_pooled_comparisons_keeps_the_family_wise_error() -> None:
    # One reference against four equal methods: the comparisons share the reference and so depend on each other.
    rng, false = np.random.default_rng(9), 0
    for _ in range(SIMULATIONS):
        sets = [rng.normal(0, 1, (5, 3, N_ITEMS)) + rng.normal(0, 0.1, (5, 3, 1)) for _ in range(3)]
        drawn = [draw_items(N_ITEMS, REPLICATES, int(rng.integers(2**31))) for _ in sets]
        p_values = []
        for m in range(1, 5):
            gaps = [(own[0] - own[m]).T for own in sets]  # [items, S] each
            differences = [
                SetDifference(g.mean(axis=0), d @ g / N_ITEMS, N_ITEMS)
                for g, d in zip(gaps, drawn, strict=True)
            ]
            p_values.append(pooled_difference(differences).p_value)
        false += bool((holm(p_values) <= 0.05).any())
    assert false / SIMULATIONS <= HIGHEST_FALSE_RATE


def test_errors_per_judgement_count_judgements() -> None:
    records = np.array([[1.0, 2.0], [0.0, 5.0], [3.0, 3.0]])  # errors and judgements of three items
    assert weighted_ratio(records, np.ones(3)) == pytest.approx(4 / 10)
    many = weighted_ratio(records, np.array([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0]]))
    np.testing.assert_allclose(many, [5 / 7, 0.0, np.nan])
