"""Words are words and numbers are numbers, in recipes, suites and `--set` alike."""

from __future__ import annotations

import pytest

from dcpc.plain_yaml import load_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((word, word) for word in ("yes", "no", "on", "off", "Yes", "NO", "y", "n")),
        *((word, True) for word in ("true", "True", "TRUE")),
        *((number, 1e-3) for number in ("1e-3", "1E-3", "1.0e-3", "0.001", ".001")),
        *((number, 10.0) for number in ("1e1", "+1e+1", "10.")),
        ("-.inf", float("-inf")),
        ("12", 12),
        ("'1e1'", "1e1"),
        ("1e", "1e"),
        ("", None),
    ],
)
def test_plain_words_and_numbers(text: str, value: object) -> None:
    found = load_yaml(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "2020-13-45", "!!python/name:os.system x"])
def test_what_is_not_yaml_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        load_yaml(text)
