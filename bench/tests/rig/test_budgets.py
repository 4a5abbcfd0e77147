"""Budgets that are not equal are said, by the worst cell of a method."""

from __future__ import annotations

from dcpc_bench.rig.budgets import Budget, uneven


def cell(method: str, parameters: float, steps: float = 48, dataset: str = "a") -> Budget:
    return Budget((dataset, "budget=1"), method, parameters, steps)


def test_within_a_fifth_of_the_backbone_is_equal() -> None:
    assert (
        uneven([cell("lora", 100), cell("dcpc", 120), cell("elr", 81), cell("linear-probe", 3)], "lora") == []
    )


def test_the_worst_cell_of_a_method_is_named() -> None:
    found = uneven(
        [
            cell("lora", 100),
            cell("heads", 900),
            cell("lora", 100, dataset="b"),
            cell("heads", 950, dataset="b"),
        ],
        "lora",
    )
    assert found == [
        "Not equal: trained parameters are more than 20% from lora's in some cells: heads +850%."
    ]


def test_large_rivals_do_not_move_the_measure() -> None:
    found = uneven([cell("lora", 100), *(cell(name, 900) for name in "abc")], "lora")
    assert "lora +" not in found[0]
    assert "lora -" not in found[0]


def test_without_the_backbone_the_smallest_method_is_the_measure_and_is_named() -> None:
    found = uneven([cell("a", 100), cell("b", 900)], "lora")
    assert found == [
        "Not equal: trained parameters are more than 20% from lora's (the smallest method's where it has no cell) "
        "in some cells: b +800%."
    ]


def test_other_numbers_of_steps_are_named() -> None:
    assert uneven([cell("lora", 100), cell("elr", 100, steps=40)], "lora") == [
        "Not equal: steps of elr 40 where 48 are usual."
    ]
