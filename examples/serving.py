"""An adapter behind an endpoint: FastAPI, one model, many threads. A forward pass leaves nothing behind.

Run: pip install fastapi uvicorn && uvicorn --factory examples.serving:app   (DCPC_ADAPTER names the adapter's folder)
"""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from dcpc import load_adapter


class Request(BaseModel):
    """Texts to be predicted."""

    texts: list[str]


def app(folder: str | None = None) -> FastAPI:
    """The application; it loads the adapter once."""
    adapter = load_adapter(folder or os.environ["DCPC_ADAPTER"])
    server = FastAPI(title="DCPC")

    @server.post("/predict")
    def predict(
        request: Request,
    ) -> list[dict[str, Any]]:  # not `async`: FastAPI runs it in a thread of its pool
        return adapter.predict(request.texts, as_="distribution").to_dict(orient="records")

    return server
