"""A tiny base model, a file of annotations, a trained adapter, and the command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from dcpc.cli import main
from tiny_models import save_tiny_bert, sentiment_judgements


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_bert(tmp_path_factory.mktemp("base") / "tiny", mean_pooling=True)


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    sentiment_judgements(24, ("ann", "bob", "cem")).table.to_csv(path, index=False)
    return path


@pytest.fixture
def dcpc(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run `dcpc ...`; a traceback fails the test, an error message does not."""

    def run(*arguments: object) -> Result:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        code = stop.value.code
        return Result(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def adapter(tiny_bert: str, reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("trained") / "adapter"
    with pytest.raises(SystemExit) as stop:
        main(
            [
                "train",
                str(reviews),
                "--model",
                tiny_bert,
                "--output",
                str(output),
                "--set",
                "num_train_epochs=2",
            ]
        )
    assert not stop.value.code
    return output
