"""A local server that speaks the protocol of chat completions by a script: good answers, and everything else."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

MODEL = "scripted-1"


class Reply(NamedTuple):
    """What the server sends. cut: end the connection after so many bytes of the body, without a word."""

    body: str | bytes = ""
    status: int = 200
    kind: str = "application/json"
    headers: dict[str, str] = {}  # noqa: RUF012
    wait_s: float = 0.0
    chunked: bool = False
    cut: int | None = None


def completion(text: Any = "Yes.", finish: str | None = "stop", **more: Any) -> Reply:
    """A whole answer."""
    message = {"role": "assistant", "content": text}
    document = {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30},
    }
    return Reply(json.dumps(document | more))


def stream(text: str = "Yes.", finish: str | None = "stop", done: bool = True, **how: Any) -> Reply:
    """An answer in pieces of ten characters."""

    def event(delta: dict[str, str], finish: str | None, **more: Any) -> str:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": choices} | more
        return f"data: {json.dumps(chunk)}\n\n"

    pieces = [event({"content": text[k : k + 10]}, None) for k in range(0, len(text), 10)]
    if finish is not None:
        pieces.append(event({}, finish))
        usage = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
        pieces.append(event({}, None, choices=[], usage=usage))
    body = ": a comment\n\n" + "".join(pieces) + ("data: [DONE]\n\n" if done else "")
    return Reply(body, kind="text/event-stream", **how)


def error(status: int, message: str = "no", **headers: str) -> Reply:
    """An error as such servers send it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(json.dumps({"error": {"message": message, "type": "x"}}), status, headers=named)


class Server:
    """Answers requests by the replies of its script, one after the other, the last one again and again."""

    def __init__(self, replies: list[Reply] | Callable[[dict[str, Any]], Reply]):
        self.replies = replies
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.url = ""

    def next(self, request: dict[str, Any]) -> Reply:
        if callable(self.replies):
            return self.replies(request)
        return self.replies[min(len(self.requests), len(self.replies)) - 1]


@contextlib.contextmanager
def serving(replies: list[Reply] | Callable[[dict[str, Any]], Reply]) -> Iterator[Server]:
    """A server on a port of its own, until the block ends."""
    server = Server(replies)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            server.requests.append(request | {"path": self.path})
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
            server.times.append(time.monotonic())
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.send(server.next(request))

        def send(self, reply: Reply) -> None:
            time.sleep(reply.wait_s)
            body = reply.body if isinstance(reply.body, bytes) else reply.body.encode()
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.kind)
            self.send_header("Connection", "close")
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.chunked:
                self.send_header("Transfer-Encoding", "chunked")
                body = b"%x\r\n%s\r\n" % (len(body), body) + b"0\r\n\r\n"
            elif reply.cut is None and reply.kind != "text/event-stream":
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: reply.cut])

        def log_message(self, format, *args):
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request, client_address):
            pass

    with Quiet(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        server.url = f"http://127.0.0.1:{listening.server_address[1]}/v1"
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()
