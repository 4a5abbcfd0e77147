"""What the project's files say of the package agrees with the package."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import dcpc
from dcpc.plain_yaml import load_yaml

ROOT = Path(__file__).resolve().parents[2]
PROJECT, BENCH = (
    tomllib.loads((ROOT / folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for folder in (".", "bench")
)


def named(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement)[0].lower()


def test_the_citation_is_of_this_version() -> None:
    assert load_yaml((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == dcpc.__version__
    assert PROJECT["dynamic"] == ["version"]


def test_everything_that_is_asked_for_is_pinned_to_what_the_tests_are_run_with() -> None:
    asked = {
        named(requirement)
        for project in (PROJECT, BENCH)
        for requirement in sum(project["optional-dependencies"].values(), project["dependencies"])
    }
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line.partition("==") for line in lines if not line.startswith("#")]
    assert all(version for _, _, version in pinned)
    assert {name.lower() for name, _, _ in pinned} == asked - {"dcpc", "dcpc-bench"}
