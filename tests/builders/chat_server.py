"""An OpenAI-compatible endpoint on this machine with scripted answers."""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from builders.vllm_server import LOCAL

Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]]
"""Status, content and headers; the content is JSON, bytes, or an iterator of bytes of unstated length."""
HANG_UP: Answer = (0, b"")
"""Answer of a server that closes the connection instead."""


@dataclass
class ChatServer:
    """Scripted server: gives its answers in turn, then repeats the last one."""

    answers: list[Answer]
    delay_s: float = 0.0
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    num_sent: int = 0
    """Bytes of all contents that went out."""
    url: str = ""

    @property
    def keys(self) -> list[str | None]:
        return [headers.get("Authorization") for headers in self.headers]

    def next_answer(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, Iterable[bytes], dict[str, str]]:
        self.asked.append(body)
        self.headers.append(headers)
        time.sleep(self.delay_s)
        status, content, *more = self.answers[min(len(self.asked), len(self.answers)) - 1]
        told = more[0] if more else {}
        if isinstance(content, Iterator):
            return status, content, told
        plain = content if isinstance(content, bytes) else json.dumps(content).encode()
        return status, [plain], {"Content-Length": str(len(plain)), **told}


def says(text: str | None, finish_reason: str = "stop") -> tuple[int, Any]:
    return 200, {"choices": [{"message": {"content": text}, "finish_reason": finish_reason}]}


@contextmanager
def serving(*answers: Answer, delay_s: float = 0.0) -> Iterator[ChatServer]:
    chat = ChatServer(answers=list(answers), delay_s=delay_s)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, content, headers = chat.next_answer(body, dict(self.headers))
            if not status:
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):
                for part in content:
                    self.wfile.write(part)
                    chat.num_sent += len(part)

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
