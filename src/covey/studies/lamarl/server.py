"""A local server that speaks the protocol of chat completions, and says what a function makes of a request."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LONGEST = 2**22
"""Bytes of a request that are read."""


@contextlib.contextmanager
def serving(answer: Callable[[list[dict[str, str]]], str], model: str) -> Iterator[str]:
    """The URL of a server on a port of its own, until the block ends. answer: from messages to a text."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(min(int(self.headers["Content-Length"]), LONGEST)))
            body = json.dumps(completion(answer(asked["messages"]), model)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            thread.join()


def completion(text: str, model: str) -> dict[str, Any]:
    """A whole answer. Nobody counts tokens."""
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return {"id": "by-hand", "object": "chat.completion", "created": 0, "model": model, "choices": choices}
