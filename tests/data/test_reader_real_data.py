"""The real data sets load whole, with the scales that their descriptions state."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from dcpc.data.readers import read_annotations, read_items

# Name → scale, number of labels, annotators, judgements.
SETS = {
    "md_agreement": ("nominal", 2, 810, 26_889),
    "hs_brexit": ("nominal", 2, 6, 6_720),
    "popquorn_offensiveness": ("ordinal", 5, 262, 13_036),
    "crehate": ("ordinal", 3, 1_064, 42_527),
    "convabuse": ("ordinal", 5, 8, 12_168),
    "dices_group_majority": ("nominal", 2, 2, 2_260),
    "stanford_politeness": ("ordinal", 25, 390, 54_780),
    "nli_variation": ("ordinal", 101, 509, 11_769),
    "varierr_nli": ("nominal", 6, 4, 1_816),
    "paraphrase_par": ("ordinal", 11, 4, 2_000),
    "age_bias_sentiment": ("nominal", 5, 878, 1_419),
    "gwsd_stance": ("nominal", 3, 398, 16_400),
    "csc_sarcasm": ("ordinal", 6, 872, 6_410),
    "multipico_en": ("nominal", 2, 74, 5_073),
    "armis": ("nominal", 2, 3, 2_829),
    "pandalm_preference": ("preference", 3, 3, 2_832),
    "ukpconvarg1_preference": ("preference", 3, 3_815, 84_445),
}


@pytest.mark.parametrize("name", SETS)
def test_a_real_set_loads_whole(shared_data: Path, name: str) -> None:
    path = shared_data / name / "annotations.parquet"
    annotations = read_annotations(path)
    found = (annotations.scale, annotations.n_classes, len(annotations.annotators), annotations.n_judgements)
    assert found == SETS[name]
    assert annotations.n_items == pd.read_parquet(path)["item_id"].nunique()
    assert (annotations.label_codes >= 0).all()
    assert annotations.counts.sum() == annotations.n_judgements


def test_a_folder_loads_as_its_file(shared_data: Path) -> None:
    folder = shared_data / "hs_brexit"
    pd.testing.assert_frame_equal(
        read_annotations(folder).table, read_annotations(folder / "annotations.parquet").table
    )


def test_numeric_preferences_agree_with_the_published_ones(shared_data: Path) -> None:
    table = read_annotations(shared_data / "pandalm_preference").table
    assert (table["label"] == table["preference"]).all()


def test_a_base_task_of_two_files_loads_under_other_column_names(shared_data: Path) -> None:
    columns = {"text": "premise", "text_pair": "hypothesis"}
    annotations = read_annotations(shared_data / "rte", columns=columns)
    assert annotations.n_judgements == 2_718
    assert annotations.table["split"].value_counts().to_dict() == {"train": 2_441, "validation": 277}
    assert len(read_items(shared_data / "rte", columns=columns)) == annotations.n_items
