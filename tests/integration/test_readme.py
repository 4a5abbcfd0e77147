"""The README's Python runs as it stands, on a tiny base model in place of `minilm`."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from peft import PeftModel

from dcpc.cli import main
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


def test_commands_of_the_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    base = save_tiny_bert(tmp_path / "tiny", mean_pooling=True)
    tables = {
        "reviews": ("ann", "bob"),
        "new": ("ann",),
        "held-out": ("ann", "bob"),
        "newcomers": ("eve", "fay"),
    }
    for name, who in tables.items():
        sentiment_judgements(12, who).table.to_csv(tmp_path / f"{name}.csv", index=False)
    monkeypatch.chdir(tmp_path)
    block = re.search(r"```sh\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert block is not None
    commands = [shlex.split(line, comments=True) for line in block[1].splitlines()]
    assert [words[0] for words in commands] == ["pip", *["dcpc"] * (len(commands) - 1)]
    for words in commands[1:]:
        extra = ["--set", "max_steps=2"] if words[1] == "train" else []
        with pytest.raises(SystemExit) as done:
            main([base if word == "minilm" else word for word in words[1:]] + extra)
        assert done.value.code == 0, capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} > {"disagreement", "adapter", "labels.csv", "adapter-2"}


def test_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (README.parent / link).exists()]
    assert not missing
