"""Suites say what is wrong with them, and those that come with the package fit their data."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from dcpc.errors import DataError, UsageError
from dcpc_bench.methods import METHODS
from dcpc_bench.rig.cell_data import cell_data
from dcpc_bench.rig.sources import load_source
from dcpc_bench.rig.suite import check_names, load_suite, make_suite, parse_suite, suite_names
from dcpc_bench.source_tasks.registers import BOOLQ_REGISTERS

PLAIN = "datasets: [d]\nmethods: [lora, dcpc]\nreference: dcpc\n"


def test_the_suites_of_the_package_name_known_methods_and_pools() -> None:
    assert suite_names() == [
        *(
            "demo",
            "demo-llm",
            "smoke",
            "real-small",
            "real-full",
            "sizes",
            "sizes-defaults",
            "shift-small",
            "shift-rte",
            "shift-full",
        ),
        *("ablation", "paper-llm", "paper-llm-cut", "paper-llm-longer", "head-or-words"),
    ]
    for name in suite_names():
        check_names(load_suite(name))


def test_a_smaller_size_has_items_of_the_larger_one_and_the_same_test(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"item_id": [f"i{n // 2}" for n in range(400)], "text": [f"text {n // 2}" for n in range(400)]}
    ).assign(annotator_id=["x", "y"] * 200, label=["a", "b", "b", "a"] * 100)
    table.to_csv(tmp_path / "d.csv", index=False)
    suite = make_suite(
        {"datasets": ["d"], "methods": ["lora"], "reference": "lora", "caps": {"validation": 12}}
    )
    dataset = suite.datasets[0].model_copy(update={"path": "d.csv"})
    source = load_source(dataset, tmp_path)
    small, large = (cell_data(source, dataset, f"budget=all@{n}", 0, suite).split for n in (20, 60))
    assert (small.train.n_items, small.validation.n_items) == (20, 6)
    assert (large.train.n_items, large.validation.n_items) == (60, 12)  # the suite's cap
    assert set(small.train.item_ids) < set(large.train.item_ids)
    assert list(small.test.item_ids) == list(large.test.item_ids)
    with pytest.raises(DataError, match=r"500 training items were asked for, and 120 remain"):
        cell_data(source, dataset, "budget=1@500", 0, suite)


VOTES = {"majority-vote", "soft-labels", "disaggregated", "dawid-skene", "crowdlab"}


def test_the_small_suites_cover_what_the_protocol_asks_for() -> None:
    real, shift, ablation = (load_suite(name) for name in ("real-small", "shift-small", "ablation"))
    assert {"md_agreement", "hs_brexit", "convabuse", "popquorn_offensiveness", "gwsd_stance", "crehate"} <= {
        d.name for d in real.datasets
    }
    assert (len(real.datasets), real.seeds, real.caps.train) == (8, 3, 500)
    assert len(real.methods) >= 12
    assert "clean" in shift.conditions
    for pool in ("sst-2-p", "thresholds", "confusion", "groups"):
        assert sum(c.startswith(f"pool={pool}@") for c in shift.conditions) == 3
    parts = {m for m in METHODS if m.startswith(("dcpc-no-", "dcpc-with-"))}
    assert parts - {"dcpc-no-demonstrations"} < set(ablation.methods)  # encoders have no demonstrations
    parts |= {m for m in METHODS if m.startswith("dcpc-paper-no-")}  # those of `paper-llm-cut`
    parts |= {
        m for m, method in METHODS.items() if method.on == "prompt" or method.needs_reader
    }  # these suites are of an encoder
    for name in ("real-full", "shift-full"):
        full = load_suite(name)
        assert full.seeds == 5
        assert full.caps.train is None
        # With one label per item, targets made of votes are those of plain training.
        left_out = VOTES if name == "shift-full" else set()
        assert set(METHODS) - parts - left_out == set(full.methods)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("epochs: 3", r"`epochs`: extra inputs"),
        ("seeds: none", r"`seeds`: input should be a valid integer"),
        ("training: {epochs: 0}", r"`training\.epochs`"),
        ("caps: {train: -1}", r"`caps\.train`"),
        ("conditions: [budget=2]", r"`conditions`: \"budget=2\" is no condition"),
        ("conditions: [pool=thresholds]", r"is no condition"),
        ("conditions: ['pool=thresholds:train@0.2']", r"is no condition"),
        ("conditions: ['group=gender:female']", r"is no condition"),
        ("search: {fractions: [1.0, 0.5]}", r"`search\.fractions`: must rise"),
        ("backbone: ia3", r"`backbone`"),
        ("labels: [", "not YAML"),
        ("description: 2020-13-45", "not YAML"),
    ],
)
def test_mistakes_name_the_file_and_the_field(tmp_path: Path, change: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(PLAIN + change + "\n")
    with pytest.raises(UsageError, match=message) as caught:
        load_suite(str(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a list", "a mapping"),
        (PLAIN.replace("dcpc]", "lora]"), "name lora twice"),
        (PLAIN.replace("reference: dcpc", "reference: elr"), "reference elr is not among"),
        (PLAIN.replace("[d]", "[{name: d, labels: {a: [1], b: [2]}, bins: [3]}]"), "labels and bins"),
        (PLAIN.replace("[d]", "[{name: 'a/b'}]"), r"`datasets\.0\.name`"),
    ],
)
def test_suites_that_contradict_themselves_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_suite(text, "mine.yaml", "mine")


def test_labels_may_be_called_no_and_yes_and_numbers_have_exponents() -> None:
    suite = parse_suite(
        """
        datasets:
          - {name: a, labels: {no: ['0'], yes: ['1', on]}}
          - {name: b, label_set: [no, yes]}
        conditions: [pool=lenient@0.3]
        methods: [lora]
        reference: lora
        pools: {lenient: {pool: thresholds, leniency: 1e1}}
        training: {epochs: 1e1, bf16: no, group_by_length: yes}
        """,
        "mine.yaml",
        "mine",
    )
    assert suite.datasets[0].labels == {"no": ["0"], "yes": ["1", "on"]}
    assert suite.datasets[1].label_set == ["no", "yes"]
    assert suite.pools == {"lenient": {"pool": "thresholds", "leniency": 10.0}}
    assert (suite.training.epochs, suite.training.bf16, suite.training.group_by_length) == (10.0, False, True)
    check_names(suite)


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean smoke"):
        load_suite("smok")
    with pytest.raises(UsageError, match="Did you mean lora"):
        check_names(make_suite({"datasets": ["d"], "methods": ["lorra"], "reference": "lorra"}))
    pool = {"datasets": ["d"], "methods": ["lora"], "reference": "lora", "conditions": ["pool=treshold@0.3"]}
    with pytest.raises(UsageError, match=r'no pool "treshold"\. Did you mean thresholds'):
        check_names(make_suite(pool))


def test_a_file_of_data_is_no_suite(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("text,label\n")
    with pytest.raises(UsageError, match="--data"):
        load_suite(str(path))
    with pytest.raises(UsageError, match="cannot be read"):
        load_suite(str(tmp_path / "missing.yaml"))


@pytest.mark.parametrize("name", ["real-small", "shift-small", "shift-rte"])
def test_small_suites_fit_the_real_data(shared_data: Path, name: str) -> None:
    suite = load_suite(name)
    for dataset in suite.datasets:
        source = load_source(dataset, shared_data)
        for text in suite.conditions_of(dataset):
            case = cell_data(source, dataset, text, 0, suite)
            assert case.split.train.n_items <= 1000
            assert 2 <= case.split.train.n_classes <= 5
            if "@" in text:
                assert case.train_noise == pytest.approx(float(text.partition("@")[2]), abs=0.03)


def test_the_suites_of_the_paper_read_boolq_in_the_registers_that_its_annotators_write() -> None:
    for name in ("paper-llm", "paper-llm-cut"):
        task = load_suite(name).dataset("boolq-ps").task
        assert task is not None
        assert task["registers"] == {
            register: {label: list(phrases) for label, phrases in words.items()}
            for register, words in BOOLQ_REGISTERS.items()
        }
