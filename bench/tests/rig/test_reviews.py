"""The generated reviews and their annotators."""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge

from dcpc_bench.reviews import judged_reviews, review_items
from dcpc_bench.reviews.grammar import LEAST_STRENGTH, generate_reviews


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


def test_no_clean_label_leaks_and_strict_and_lenient_annotators_disagree():
    items = review_items(600)
    judged = judged_reviews(items, "reviews")
    assert set(judged.table.columns) >= {"item_id", "text", "annotator_id", "label"}
    assert "clean_label" not in judged.table
    assert (judged.n_items, judged.n_judgements, len(judged.annotators)) == (600, 1800, 12)
    wrong = (judged.label_codes != items.codes[judged.item_codes]).mean()
    assert 0.05 < wrong < 0.35
    positive = judged.table.assign(positive=judged.label_codes).groupby("annotator_id")["positive"].mean()
    assert positive.max() - positive.min() > 0.2
