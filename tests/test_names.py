"""A name that is not known is refused with those it may stand for."""

from __future__ import annotations

import pytest

from dcpc.errors import UsageError
from dcpc.names import check_name, did_you_mean

KNOWN = ("lora", "dora", "p-tuning-v2", "group_bias")


def test_the_nearest_names_are_offered_nearest_first() -> None:
    assert did_you_mean("lorra", KNOWN) == "Did you mean lora or dora?"
    assert did_you_mean("lorra", KNOWN, most=1) == "Did you mean lora?"
    assert did_you_mean("lorra", KNOWN, cutoff=0.8) == "Did you mean lora?"
    assert did_you_mean("xyz", KNOWN) == ""


@pytest.mark.parametrize("name", ["P Tuning V2", "ptuning_v2", "p-tuning-v2"])
def test_names_are_compared_by_letters_and_digits(name: str) -> None:
    assert did_you_mean(name, KNOWN, cutoff=1.0) == "Did you mean p-tuning-v2?"


def test_only_known_names_pass() -> None:
    check_name("lora", KNOWN, "method")
    with pytest.raises(UsageError) as caught:
        check_name("groupbias", KNOWN, "pool")
    assert caught.value.what == 'there is no pool "groupbias". Did you mean group_bias?'
    assert caught.value.fix == "Choose among: lora, dora, p-tuning-v2, group_bias."
    with pytest.raises(UsageError, match=r'no pool "xyz"\.$|no pool "xyz"\.\n'):
        check_name("xyz", KNOWN, "pool")
