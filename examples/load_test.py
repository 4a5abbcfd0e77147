"""A bounded load test of `examples/serving.py`: requests a second, waiting times, and wrong answers.

Run: python examples/load_test.py http://127.0.0.1:8000
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np

TOLERANCE = 1e-4
"""Of a probability: in a batch with longer texts it differs in the last digits."""


def load(client: Any, asked: list[list[str]], requests: int = 200, threads: int = 8) -> dict[str, float]:
    """Ask from many threads, and compare every answer with the one that was given to a lone request.

    Args:
        client: of httpx, with the server's address.
        asked: texts of each request; they are asked for in turn.
        requests: how many are sent.
        threads: that send them, one at a time each.

    Returns:
        `requests_per_second`, `p50` and `p99` in seconds, and `wrong`: answers that differ, or failed.
    """
    alone = [client.post("/predict", json={"texts": texts}).json() for texts in asked]

    def ask(number: int) -> tuple[float, bool]:
        which = number % len(asked)
        started = time.perf_counter()
        answer = client.post("/predict", json={"texts": asked[which]})
        seconds = time.perf_counter() - started
        return seconds, answer.status_code == 200 and same(answer.json(), alone[which])

    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        seconds, right = zip(*pool.map(ask, range(requests)), strict=True)
    took = time.perf_counter() - started
    p50, p99 = np.quantile(seconds, [0.5, 0.99])
    return {
        "requests_per_second": requests / took,
        "p50": float(p50),
        "p99": float(p99),
        "wrong": float(requests - sum(right)),
    }


def same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> bool:
    """Whether two answers have the same texts and labels, and probabilities that are equal but for rounding."""
    if len(found) != len(expected):
        return False
    for one, other in zip(found, expected, strict=True):
        for name, value in other.items():
            if isinstance(value, float):
                if abs(one[name] - value) > TOLERANCE:
                    return False
            elif one[name] != value and name != "label":  # a tie may be decided either way
                return False
    return True


if __name__ == "__main__":
    texts = ["the film was good", "a bad meal", "the room was poor, and the story very long"]
    with httpx.Client(base_url=sys.argv[1], timeout=60) as client:
        for name, value in load(client, [texts[:n] for n in (1, 2, 3)]).items():
            print(f"{name}: {value:.4g}")
