"""The judge, against a server that the test starts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from dcpc.errors import UsageError
from dcpc.tasks.write.judge import Judge, JudgeError

PROMPT = [{"role": "user", "content": "What is rain?"}]


class Endpoint(HTTPServer):
    """Answers chat completions with what `answers` says of a question; statuses in `failures` come first."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.failures: list[tuple[int, dict[str, str]]] = []
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.content: Any = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def answer(self, question: str) -> str:
        """Prefers the longer reply."""
        first, second = question.split("[Reply A]\n")[1].split("\n\nWhich")[0].split("\n\n[Reply B]\n")
        return "**A**" if len(first) > len(second) else "B." if len(second) > len(first) else "Tie"


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.keys.append(self.headers.get("Authorization"))
        if self.server.failures:
            status, headers = self.server.failures.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b'{"error": "busy"}')
            return
        assert self.path == "/v1/chat/completions"
        self.server.asked.append(body)
        said = self.server.answer(body["messages"][0]["content"])
        content = self.server.content or {
            "choices": [{"message": {"content": said}}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 2},
        }
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def judge(endpoint: Endpoint, **settings: Any) -> Judge:
    return Judge(endpoint.url, "judge-1", sleep=lambda seconds: None, **settings)


def test_both_orders_decide(endpoint: Endpoint) -> None:
    asked = judge(endpoint, key="secret")
    assert asked.prefers(PROMPT, "example", "a long reply", "short") == "a"
    assert asked.prefers(PROMPT, "example", "short", "a long reply") == "b"
    assert asked.win_rate([PROMPT] * 2, ["e"] * 2, ["long one", "x"], ["y", "long one"]) == 0.5
    assert set(endpoint.keys) == {"Bearer secret"}
    assert "secret" not in repr(asked)


def test_a_judge_who_prefers_a_side_gives_ties(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Endpoint, "answer", lambda self, question: "A")
    assert judge(endpoint).prefers(PROMPT, "example", "one", "another") == "tie"


def test_answers_are_kept_and_tokens_counted(endpoint: Endpoint, tmp_path: Path) -> None:
    first = judge(endpoint, cache=tmp_path / "answers")
    assert first.prefers(PROMPT, "example", "a long reply", "short") == "a"
    assert (first.usage.requests, first.usage.prompt_tokens, first.usage.completion_tokens) == (2, 20, 4)
    again = judge(endpoint, cache=tmp_path / "answers")
    assert again.prefers(PROMPT, "example", "a long reply", "short") == "a"
    assert (again.usage.requests, again.usage.cached) == (0, 2)
    assert len(endpoint.asked) == 2
    for kept in (tmp_path / "answers").iterdir():
        kept.write_text("{cut off")
    assert again.prefers(PROMPT, "example", "a long reply", "short") == "a"
    assert len(endpoint.asked) == 4


def test_failures_that_pass_are_asked_again(endpoint: Endpoint) -> None:
    waited: list[float] = []
    endpoint.failures = [(503, {}), (429, {"Retry-After": "7"}), (500, {})]
    asked = judge(endpoint)
    asked.sleep = waited.append
    assert asked.ask("[Reply A]\nlong\n\n[Reply B]\nx\n\nWhich") == "**A**"
    assert waited == [1.0, 7.0, 4.0]


def test_refusals_are_not_asked_again(endpoint: Endpoint) -> None:
    endpoint.failures = [(401, {})]
    with pytest.raises(JudgeError, match="401"):
        judge(endpoint).ask("?")
    assert len(endpoint.keys) == 1


def test_another_form_of_answer_is_said(endpoint: Endpoint) -> None:
    endpoint.content = {"text": "A"}
    with pytest.raises(JudgeError, match="another form"):
        judge(endpoint).ask("[Reply A]\nlong\n\n[Reply B]\nx\n\nWhich")


def test_an_endpoint_that_does_not_run(endpoint: Endpoint) -> None:
    asked = Judge("http://127.0.0.1:9/v1", "judge-1", sleep=lambda seconds: None, retries=1)
    with pytest.raises(JudgeError, match="DCPC_JUDGE_URL"):
        asked.ask("?")
    assert asked.usage.requests == 2


def test_no_judge_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DCPC_JUDGE_URL", raising=False)
    with pytest.raises(UsageError, match="DCPC_JUDGE_URL is not set"):
        Judge.from_environment()
    monkeypatch.setenv("DCPC_JUDGE_URL", "localhost:8000")
    monkeypatch.setenv("DCPC_JUDGE_MODEL", "judge-1")
    with pytest.raises(UsageError, match="no web address"):
        Judge.from_environment()
