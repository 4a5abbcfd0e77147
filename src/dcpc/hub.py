"""Pushing an adapter's folder to the Hugging Face Hub, or whatever `HF_ENDPOINT` names."""

from __future__ import annotations

import re
from pathlib import Path

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import validate_repo_id

from dcpc.errors import OutputError, UsageError
from dcpc.files import MANIFEST


def check_hub(repo: str) -> None:
    """Refuse, before any work is done, a push that cannot succeed.

    Args:
        repo: `name`, or `user/name`.

    Raises:
        UsageError: the name is none, there is no token, or the hub is switched off.
    """
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UsageError(
            f"`{repo}` is no name of a repository on the hub.",
            fix="Write it as --push-to-hub USER/NAME, with letters, digits, `-`, `_` and `.`.",
        ) from error
    if constants.HF_HUB_OFFLINE:
        raise UsageError(
            "--push-to-hub needs the hub, and HF_HUB_OFFLINE switches it off.",
            fix="Unset HF_HUB_OFFLINE, or leave --push-to-hub out.",
        )
    if get_token() is None:
        raise UsageError(
            "--push-to-hub needs a token of the hub, and there is none.",
            fix="Log in with `hf auth login`, or set HF_TOKEN; or leave --push-to-hub out.",
        )


def push(folder: Path, repo: str) -> str:
    """Upload an adapter's folder as one commit; the repository is made, private, where it is not there.

    Args:
        folder: that `dcpc train` or `dcpc export` wrote.
        repo: `name`, or `user/name`.

    Returns:
        The address of the repository.

    Raises:
        UsageError: as `check_hub`.
        OutputError: the hub refused, or cannot be reached; the folder is whole.
    """
    check_hub(repo)
    hub = HfApi()
    try:
        made = hub.create_repo(repo, private=True, exist_ok=True)
        hub.upload_folder(
            repo_id=made.repo_id, folder_path=folder, ignore_patterns=[MANIFEST], commit_message="dcpc train"
        )
    except (HfHubHTTPError, OSError) as error:
        raise _not_pushed(folder, repo, error) from error
    except Exception as error:  # of httpx: the hub's client lets errors of the connection through
        if not type(error).__module__.startswith(("httpx", "httpcore")):
            raise
        raise _not_pushed(folder, repo, error) from error
    return str(made)


def _not_pushed(folder: Path, repo: str, error: Exception) -> OutputError:
    reason = re.sub(r"\s+", " ", str(error)).strip()[:200] or type(error).__name__
    return OutputError(
        f"the adapter is written, but the hub did not take it: {reason}",
        where=folder,
        fix=f"Push it later: hf upload {repo} {folder}",
    )
