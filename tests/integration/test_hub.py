"""`--push-to-hub` against a hub that the test starts: one commit with all files, and clear words where it fails."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

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

    def do_GET(self) -> None:
        self.answer(200, {"id": "anna/judge", "sha": "0", "siblings": [], "name": "anna"})

    def answer(self, status: int, content: dict) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
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


def pushed(folder: Path, home: Path, address: str, token: str | None) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING", "NO_PROXY", "http"))}
    kept |= {"HF_ENDPOINT": address, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1"}
    if token is not None:
        kept["HF_TOKEN"] = token
    return subprocess.run(
        [sys.executable, "-c", PUSH, str(folder), "anna/judge"],
        env=kept, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_push_is_one_commit_of_all_files_and_says_what_is_wrong(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors", "README.md", ".dcpc-output.json"):
        (folder / name).write_text(f"{{}} {name}")
    done = pushed(folder, tmp_path / "home", hub.address, "hf_right")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("anna/judge")
    assert hub.files == {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".dcpc-output.json"
    }
    assert (hub.created[0]["name"], hub.created[0]["visibility"]) == ("judge", "private")
    without = pushed(folder, tmp_path / "home", hub.address, None)
    assert "needs a token of the hub" in without.stderr
    assert "hf auth login" in without.stderr
    wrong = pushed(folder, tmp_path / "home", hub.address, "hf_wrong")
    assert "the hub did not take it" in wrong.stderr
    assert f"hf upload anna/judge {folder}" in wrong.stderr
    assert all("Traceback" not in each.stderr for each in (without, wrong))
