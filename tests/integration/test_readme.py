"""The README's Python runs as it stands, on a tiny base model in place of `minilm`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from peft import PeftModel

from dcpc.models import load_base_model
from tiny_models import save_tiny_bert, sentiment_judgements

README = Path(__file__).resolve().parents[2] / "README.md"


def test_python_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = save_tiny_bert(tmp_path / "tiny", mean_pooling=True)
    sentiment_judgements().table.to_csv(tmp_path / "reviews.csv", index=False)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 3
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block.replace('"minilm"', repr(base)), str(README), "exec"), names)
    model, _ = load_base_model(base, ["no", "yes"])
    loaded = PeftModel.from_pretrained(model, "adapter")
    assert loaded.active_peft_config.peft_type == "DCPC"


def test_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (README.parent / link).exists()]
    assert not missing
