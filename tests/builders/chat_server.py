"""An OpenAI-compatible endpoint on this machine with scripted answers."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from builders.vllm_server import LOCAL


@dataclass
class ChatServer:
    """Scripted server: gives its answers in turn, then repeats the last one."""

    answers: list[tuple[int, Any]]
    delay_s: float = 0.0
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    url: str = ""

    def next_answer(self, body: dict[str, Any], key: str | None) -> tuple[int, bytes]:
        self.asked.append(body)
        self.keys.append(key)
        time.sleep(self.delay_s)
        status, content = self.answers[min(len(self.asked), len(self.answers)) - 1]
        return status, content if isinstance(content, bytes) else json.dumps(content).encode()


def says(text: str | None, finish_reason: str = "stop") -> tuple[int, Any]:
    return 200, {"choices": [{"message": {"content": text}, "finish_reason": finish_reason}]}


@contextmanager
def serving(*answers: tuple[int, Any], delay_s: float = 0.0) -> Iterator[ChatServer]:
    chat = ChatServer(answers=list(answers), delay_s=delay_s)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, content = chat.next_answer(body, self.headers["Authorization"])
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    chat.url = f"http://{LOCAL}:{server.server_port}/v1"
    try:
        yield chat
    finally:
        server.shutdown()
        server.server_close()
