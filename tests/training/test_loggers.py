"""Where a training logs to."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcpc.errors import UsageError
from dcpc.training import arguments


@pytest.mark.parametrize("given", ["wandb", ["tensorboard", "wandb"]])
def test_a_logger_that_is_not_installed_is_named_with_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | list[str]
) -> None:
    monkeypatch.setattr(arguments, "get_available_reporting_integrations", lambda: ["tensorboard"])
    settings = {"output_dir": str(tmp_path), "use_cpu": True}
    with pytest.raises(UsageError, match="report_to=wandb needs the package wandb") as caught:
        arguments.made_arguments({**settings, "report_to": given})
    assert caught.value.fix == "pip install wandb"
    arguments.made_arguments({**settings, "report_to": "tensorboard"})
    arguments.made_arguments({**settings, "report_to": "none"})
