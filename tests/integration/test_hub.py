"""`--push-to-hub` against a hub that the test starts: one commit with all files, and clear words where it fails."""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from dcpc import load_adapter
from tiny_models import save_tiny_bert, sentiment_judgements

PUSH = """
import sys
from pathlib import Path
from dcpc.errors import DCPCError
from dcpc.hub import push
try:
    print(push(Path(sys.argv[1]), sys.argv[2]))
except DCPCError as error:
    sys.exit(str(error))
"""


TRAIN_AND_LOAD = """
import os, sys
from huggingface_hub import snapshot_download
from dcpc import load_adapter
from dcpc.cli import main

def dcpc(*words):
    try:
        main(list(words))
    except SystemExit as end:
        return end.code or 0

cache, output, *words = sys.argv[1:]
token = os.environ.pop("HF_TOKEN")
print("without a token:", dcpc(*words, "--output", output), os.path.exists(output))
os.environ["HF_TOKEN"] = token
print("with a token:", dcpc(*words, "--output", output))
adapter = load_adapter(snapshot_download("anna/judge", cache_dir=cache))
print(adapter.predict(["the film was good", "a bad meal"], "distribution").filter(like="p_").to_numpy().tolist())
"""
SHA = "5" * 40


class Hub(ThreadingHTTPServer):
    """The few addresses of the hub that a push asks; keeps the files it is given."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Requests)
        self.files: dict[str, bytes] = {}
        self.created: list[dict] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Requests(BaseHTTPRequestHandler):
    server: Hub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != "Bearer hf_right":
            return self.answer(401, {"error": "Invalid credentials"})
        if self.path.endswith("/repos/create"):
            self.server.created.append(json.loads(body))
            return self.answer(200, {"url": f"{self.server.address}/anna/judge", "id": "anna/judge"})
        if "/preupload/" in self.path:
            names = [each["path"] for each in json.loads(body)["files"]]
            return self.answer(
                200, {"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]}
            )
        if "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            sent = {"commitUrl": f"{self.server.address}/anna/judge/commit/1", "commitOid": "1"}
            return self.answer(200, {**sent, "success": True})
        return self.answer(200, {})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        _, resolves, name = self.path.partition("/anna/judge/resolve/")
        if "/tree/" in self.path:
            files = [
                {"type": "file", "path": path, "size": len(content), "oid": SHA}
                for path, content in self.server.files.items()
            ]
            return self.answer(200, files)
        if not resolves:
            siblings = [{"rfilename": name} for name in self.server.files]
            return self.answer(200, {"id": "anna/judge", "sha": SHA, "siblings": siblings, "name": "anna"})
        content = self.server.files.get(name.partition("/")[2])
        if content is None:
            return self.answer(404, {"error": "Entry not found"})
        kind = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": SHA}
        return self.send(200, content, {"Content-Type": "application/octet-stream", **kind})

    def answer(self, status: int, content: dict | list) -> None:
        self.send(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def with_hub(
    program: str, home: Path, address: str, token: str | None, *arguments: object
) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, which knows the hub's address from its start."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING", "NO_PROXY", "http"))}
    kept |= {"HF_ENDPOINT": address, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1"}
    if token is not None:
        kept["HF_TOKEN"] = token
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=kept, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_push_is_one_commit_of_all_files_and_says_what_is_wrong(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors", "README.md", ".dcpc-output.json"):
        (folder / name).write_text(f"{{}} {name}")
    arguments = (folder, "anna/judge")
    done = with_hub(PUSH, tmp_path / "home", hub.address, "hf_right", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("anna/judge")
    assert hub.files == {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".dcpc-output.json"
    }
    assert (hub.created[0]["name"], hub.created[0]["visibility"]) == ("judge", "private")
    without = with_hub(PUSH, tmp_path / "home", hub.address, None, *arguments)
    assert "needs a token of the hub" in without.stderr
    assert "hf auth login" in without.stderr
    wrong = with_hub(PUSH, tmp_path / "home", hub.address, "hf_wrong", *arguments)
    assert "the hub did not take it" in wrong.stderr
    assert f"hf upload anna/judge {folder}" in wrong.stderr
    assert all("Traceback" not in each.stderr for each in (without, wrong))


def test_a_training_is_pushed_and_loaded_back_from_the_hub(hub: Hub, tmp_path: Path) -> None:
    base = save_tiny_bert(tmp_path / "base", mean_pooling=True)
    sentiment_judgements(24, ("ann", "bob")).table.to_csv(tmp_path / "reviews.csv", index=False)
    done = with_hub(
        TRAIN_AND_LOAD, tmp_path / "home", hub.address, "hf_right", tmp_path / "cache", tmp_path / "adapter",
        *("train", tmp_path / "reviews.csv", "--model", base),
        *("--push-to-hub", "anna/judge", "--set", "max_steps=2"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "needs a token of the hub" in done.stderr
    assert "without a token: 2 False" in done.stdout, "said before the training"
    assert "Pushed to" in done.stdout
    assert "with a token: 0" in done.stdout
    assert {"README.md", "task.json", "adapter_config.json", "adapter_model.safetensors"} <= hub.files.keys()
    there = ast.literal_eval(done.stdout.splitlines()[-1])
    texts = ["the film was good", "a bad meal"]
    here = load_adapter(tmp_path / "adapter").predict(texts, "distribution").filter(like="p_").to_numpy()
    np.testing.assert_allclose(there, here, atol=1e-6)
