"""Where embeddings are kept between runs unless a folder is given."""

from __future__ import annotations

from pathlib import Path

from dcpc.user_cache import user_cache


def embedding_cache() -> Path:
    """The user's cache folder for embeddings: `$XDG_CACHE_HOME/dcpc/embeddings`, by default under `~/.cache`.

    Vectors are found there by the hash of a text and the encoder, so runs on the same texts share them, and a
    run that was killed goes on where it stopped. It holds hashes and vectors, no texts.
    """
    return user_cache("embeddings")
