"""An adapter behind an endpoint: FastAPI, one model, requests of many threads answered in batches.

Run: pip install fastapi uvicorn && uvicorn --factory examples.serving:app   (DCPC_ADAPTER names the adapter's folder)
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from queue import Empty, Queue
from typing import Any

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

from dcpc import TrainedAdapter, load_adapter

MOST_TEXTS = 64
"""In a request, and in a batch."""


class Request(BaseModel):
    """Texts to be predicted."""

    texts: list[str] = Field(min_length=1, max_length=MOST_TEXTS)


class Batcher:
    """Predicts what waits as one batch; what comes meanwhile is the next, so that nobody waits for others to come."""

    def __init__(self, adapter: TrainedAdapter) -> None:
        self.adapter = adapter
        self.waiting: Queue[tuple[list[str], Future[list[dict[str, Any]]]]] = Queue()
        threading.Thread(target=self._work, daemon=True).start()

    def __call__(self, texts: list[str]) -> list[dict[str, Any]]:
        """The rows of some texts; blocks until they are there."""
        answer: Future[list[dict[str, Any]]] = Future()
        self.waiting.put((texts, answer))
        return answer.result()

    def _work(self) -> None:
        while True:
            batch = [self.waiting.get()]
            while sum(len(texts) for texts, _ in batch) < MOST_TEXTS:
                try:
                    batch.append(self.waiting.get_nowait())
                except Empty:
                    break
            try:
                rows = self._predict([text for texts, _ in batch for text in texts])
            except Exception as error:  # each request is told, and the next batch has its chance
                for _, answer in batch:
                    answer.set_exception(error)
                continue
            for texts, answer in batch:
                answer.set_result(rows[: len(texts)])
                rows = rows[len(texts) :]

    def _predict(self, texts: list[str]) -> list[dict[str, Any]]:
        found = self.adapter.predict(texts, as_="distribution").drop(columns="row")
        return found.to_dict(orient="records")


def app(folder: str | None = None) -> FastAPI:
    """The application; it loads the adapter once."""
    predict_batch = Batcher(load_adapter(folder or os.environ["DCPC_ADAPTER"]))
    server = FastAPI(title="DCPC")

    @server.post("/predict")
    def predict(
        request: Request,
    ) -> list[dict[str, Any]]:  # not `async`: FastAPI runs it in a thread of its pool
        if not all(text.strip() for text in request.texts):
            raise HTTPException(422, "a text is empty")  # it must not fail the batch of others
        return predict_batch(request.texts)

    return server
