"""Double of W&B's server: it answers wandb's own uploader over HTTP and keeps what that uploads."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

LOCAL = "127.0.0.1"
ENTITY = "inspectors"
KEY = "0" * 40
"""A key of the right length."""
HISTORY, SUMMARY = "wandb-history.jsonl", "wandb-summary.json"
OPERATION = "operationName"


@dataclass(kw_only=True)
class UploadedRun:
    """Run as W&B's server has it."""

    name: str = ""
    group: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)
    """Lines in the order in which they arrived."""
    summary: dict[str, Any] = field(default_factory=dict)
    exit_codes: list[int] = field(default_factory=list)
    """Exit code of each process that recorded into the run."""
    was_preempting: bool = False

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.history]


@dataclass(kw_only=True)
class WandbServer:
    url: str = ""
    runs: dict[str, UploadedRun] = field(default_factory=dict)
    """By id."""
    alerts: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    """Media and other files by path in the run."""

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the data of a GraphQL request; none of one that nothing here needs."""
        name, variables = request.get(OPERATION) or _operation(request["query"]), request.get("variables") or {}
        answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "Viewer": lambda _: {"viewer": _viewer()},
            "ServerFeaturesQuery": lambda _: {"serverInfo": {"features": []}},
            "RunResumeStatus": self._resume_status,
            "UpsertBucket": self._upsert,
            "CreateRunFiles": self._create_files,
            "CreateArtifact": self._create_artifact,
            "NotifyScriptableRunAlert": self._alert,
        }
        return answers[name](variables) if name in answers else {}

    def stream(self, run_id: str, body: dict[str, Any]) -> None:
        """Keep a piece of a run's file stream."""
        run, files = self.runs[run_id], body.get("files") or {}
        if HISTORY in files:
            run.history[files[HISTORY]["offset"] :] = files[HISTORY]["content"]
        if SUMMARY in files:
            run.summary = json.loads(files[SUMMARY]["content"][-1])
        run.was_preempting |= bool(body.get("preempting"))
        if body.get("complete"):
            run.exit_codes.append(body["exitcode"])

    def _resume_status(self, asked: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(asked["name"])
        bucket = run and {
            "id": asked["name"],
            "name": asked["name"],
            "displayName": run.name,
            "summaryMetrics": json.dumps(run.summary),
            "logLineCount": 0,
            "historyLineCount": len(run.history),
            "eventsLineCount": 0,
            "historyTail": json.dumps(run.history[-1:]),
            "eventsTail": "[]",
            "config": json.dumps(run.config),
            "tags": run.tags,
            "notes": "",
            "wandbConfig": json.dumps({"t": 1}),
        }
        return {"model": {"id": "1", "name": "assay", "entity": {"id": "1", "name": ENTITY}, "bucket": bucket}}

    def _upsert(self, told: dict[str, Any]) -> dict[str, Any]:
        is_new = told["name"] not in self.runs
        run = self.runs.setdefault(told["name"], UploadedRun())
        run.name, run.group = told.get("displayName") or run.name, told.get("groupName") or run.group
        run.tags = told.get("tags") or run.tags
        run.config = json.loads(told["config"]) if told.get("config") else run.config
        bucket = {
            "id": told["name"],
            "name": told["name"],
            "displayName": run.name,
            "description": "",
            "config": json.dumps(run.config),
            "sweepName": None,
            "project": {"id": "1", "name": told["project"], "entity": {"id": "1", "name": ENTITY}},
            "historyLineCount": len(run.history),
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": is_new}}

    def _create_files(self, asked: dict[str, Any]) -> dict[str, Any]:
        files = [{"name": name, "uploadUrl": f"{self.url}/upload/{name}"} for name in asked["files"]]
        return {"createRunFiles": {"runID": asked["run"], "uploadHeaders": [], "files": files}}

    def _create_artifact(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Say that the artifact is here already, so that nothing more of it is uploaded."""
        artifact = {"id": "1", "state": "COMMITTED", "artifactSequence": {"id": "1", "latestArtifact": None}}
        return {"createArtifact": {"artifact": artifact}}

    def _alert(self, alert: dict[str, Any]) -> dict[str, Any]:
        self.alerts.append(alert)
        return {"notifyScriptableRunAlert": {"success": True}}


def _viewer() -> dict[str, Any]:
    user = {"id": "1", "entity": ENTITY, "username": ENTITY, "email": "", "flags": "{}", "teams": {"edges": []}}
    return user


def _operation(query: str) -> str:
    return query.split("{")[0].split("(")[0].split()[-1]


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"

    def do_POST(self) -> None:
        body = self._body()
        if self.path == "/graphql":
            self._send(json.dumps({"data": self.server.state.answer(json.loads(body))}).encode())
        elif self.path.endswith("/file_stream"):
            self.server.state.stream(self.path.split("/")[-2], json.loads(body))
            self._send(b"{}")
        else:
            self._send(b"{}")

    def do_PUT(self) -> None:
        self.server.state.files[self.path.removeprefix("/upload/")] = self._body()
        self._send(b"")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(self._chunks())
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Print nothing."""


class _Server(ThreadingHTTPServer):
    state: WandbServer


def sync(run: Path, server: WandbServer) -> None:
    """Upload what a run recorded offline, by the command that its terminal names."""
    command = [sys.executable, "-m", "wandb", "sync", *map(str, run.glob("wandb/offline-run-*"))]
    there = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY, "WANDB_DIR": str(run)}
    done = subprocess.run(command, env=os.environ | there, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@contextmanager
def wandb_server() -> Iterator[WandbServer]:
    """Serve on a free port of this machine."""
    with _Server((LOCAL, 0), _Handler) as server:
        server.state = WandbServer(url=f"http://{LOCAL}:{server.server_port}")
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.state
        finally:
            server.shutdown()
