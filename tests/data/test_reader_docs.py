"""The examples in docs/data.md are read, and recognised as what the page says they are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from dcpc.data.readers import FORMATS, read_annotations
from dcpc.data.readers.detect import detect_format

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"\*\*`([\w-]+)`\*\*(?:(?!```).)*```(json|)\n(.*?)```", PAGE, flags=re.DOTALL)
LABELS = ["negative", "neutral", "positive"]


@pytest.mark.parametrize(
    ("name", "kind", "example"), [e for e in EXAMPLES if e[0] not in ("doccano", "argilla-table")]
)
def test_an_example_is_recognised_and_read(tmp_path: Path, name: str, kind: str, example: str) -> None:
    path = tmp_path / "example"
    # The page breaks one manifest line for width; a JSON array of it reads the same.
    path.write_text(
        json.dumps([json.loads(example)]) if name == "ground-truth" else example, encoding="utf-8"
    )
    assert detect_format(str(path), {}) == name
    annotations = read_annotations(path, labels=None if name in ("lewidi", "votes", "trl") else LABELS)
    assert annotations.n_judgements >= 1
    assert "Great service." in set(annotations.items["text"])


def test_every_format_is_on_the_page() -> None:
    assert [name for name in FORMATS if f"`{name}`" not in PAGE] == []
