"""Where embeddings are kept between runs unless a folder is given."""

from __future__ import annotations

from pathlib import Path

from dcpc.errors import UsageError
from dcpc.files import check_cache_folder
from dcpc.user_cache import user_cache


def embedding_cache() -> Path:
    """The user's cache folder for embeddings: `$XDG_CACHE_HOME/dcpc/embeddings`, by default under `~/.cache`.

    Vectors are found there by the hash of a text and the encoder, so runs on the same texts share them, and a
    run that was killed goes on where it stopped. It holds hashes and vectors, no texts.
    """
    return user_cache("embeddings")


def cache_notes() -> tuple[str, ...]:
    """What to tell where the user's cache cannot be written: results are the same without it, and take longer."""
    try:
        check_cache_folder(embedding_cache())
    except UsageError as error:
        return (
            f"Embeddings are not kept for the next run: {embedding_cache()} {error.what.rstrip('.')}. XDG_CACHE_HOME "
            "names another folder for caches.",
        )
    return ()
