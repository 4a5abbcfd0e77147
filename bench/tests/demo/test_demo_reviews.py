"""The generated reviews and their annotators."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge

from dcpc_bench.demo.annotators import GROUPS, PreferenceGroups
from dcpc_bench.demo.data import DemoData
from dcpc_bench.demo.grammar import LEAST_STRENGTH, generate_reviews


def test_the_same_seed_gives_the_same_reviews():
    assert generate_reviews(50, 3) == generate_reviews(50, 3)
    assert generate_reviews(50, 3) != generate_reviews(50, 4)


def test_thousands_of_distinct_reviews_half_of_them_positive():
    reviews = generate_reviews(4000, 0)
    strengths = np.array([review.strength for review in reviews])
    assert len({review.text for review in reviews}) == 4000
    assert (strengths > 0).sum() == 2000
    assert np.abs(strengths).min() >= LEAST_STRENGTH
    assert np.abs(strengths).max() <= 1
    assert max(len(review.text.split()) for review in reviews) < 40


def test_the_strength_can_be_recovered_from_the_words():
    reviews = generate_reviews(2400, 1)
    features = TfidfVectorizer(ngram_range=(1, 2)).fit_transform([review.text for review in reviews])
    strengths = np.array([review.strength for review in reviews])
    predicted = Ridge(1.0).fit(features[:2000], strengths[:2000]).predict(features[2000:])
    assert spearmanr(predicted, strengths[2000:]).statistic > 0.85


def test_lenient_annotators_give_more_positive_labels_than_strict_ones():
    pool = PreferenceGroups.draw(4, seed=0)
    rates = pool.positive_probability(np.linspace(-1, 1, 201)).mean(axis=0)  # [A]
    means = [rates[pool.groups == group].mean() for group in ("strict", "neutral", "lenient")]
    assert means[0] < 0.35 < means[1] < 0.65 < means[2]


def test_the_pool_has_three_groups_of_four():
    groups, sizes = np.unique(PreferenceGroups.draw(4, seed=5).groups, return_counts=True)
    assert set(groups) == set(GROUPS)
    assert sizes.tolist() == [4, 4, 4]


@pytest.fixture(scope="module")
def data() -> DemoData:
    return DemoData.generate(600, 2, test_items=100)


def test_every_training_review_has_one_label_and_no_clean_label_leaks(data):
    judged = data.judge(0)
    assert judged.n_judgements == judged.n_items == 600
    assert len(judged.annotators) == 12
    assert set(judged.table.columns) == {"item_id", "text", "annotator_id", "label"}


def test_seeds_differ_in_judgements_not_in_reviews(data):
    first, second = data.judge(0), data.judge(1)
    assert first.table["text"].equals(second.table["text"])
    assert not first.table["label"].equals(second.table["label"])
    assert data.judge(0).table.equals(first.table)


def test_no_test_review_is_a_training_review(data):
    assert not set(data.test["text"]) & set(data.train_items.table["text"])
    assert ((data.test["clean_label"] == "positive") == (data.test["strength"] > 0)).all()


def test_annotators_disagree_enough_to_matter_and_little_enough_to_learn(data):
    assert 0.12 < data.wrong_share(data.judge(0)) < 0.35


def test_annotator_table_counts_every_judgement(data):
    judged = data.judge(0)
    table = data.annotators(judged)
    assert table["judgements"].sum() == 600
    assert (table["judgements"] * table["positive_rate"]).sum() == pytest.approx(judged.label_codes.sum())
