"""A server that misbehaves as it is told: what the real one never does, and what is between it and a client."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass
class Seen:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: str


@dataclass
class Faults:
    url: str
    seen: list[Seen] = field(default_factory=list)


@contextmanager
def serve(handler: Callable[["Answer", Seen, int], object]):
    """`handler(answer, seen, count)`; `count`: how many requests there were before."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self):
            address = urlsplit(self.path)
            query = {name: ",".join(values) for name, values in parse_qs(address.query).items()}
            body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen = Seen(self.command, address.path, query, headers, body)
            with lock:
                faults.seen.append(seen)
                count = len(faults.seen) - 1
            handler(Answer(self), seen, count)

        do_GET = do_POST = do_PUT = do_DELETE = _handle

        def log_message(self, *_):
            pass

    lock = threading.Lock()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    faults = Faults(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield faults
    finally:
        server.shutdown()
        server.server_close()


class Answer:
    def __init__(self, handler: BaseHTTPRequestHandler):
        self._handler = handler

    def stream(self, *blocks: str, end: bool = True) -> None:
        """Chunks of a stream that is ended in good order, or stays without a word until the client goes."""
        self.begin()
        self.more("retry: 10\n" + "".join(blocks))
        self._handler.wfile.write(b"0\r\n\r\n") if end else self.stay()

    def begin(self) -> None:
        self._head(200, "text/event-stream", {"Transfer-Encoding": "chunked"})

    def more(self, text: str) -> None:
        data = text.encode()
        self._handler.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def mute(self) -> None:
        """The head alone."""
        self.begin()
        self.stay()

    def stay(self) -> None:
        self._handler.connection.settimeout(20)
        try:
            self._handler.rfile.read(1)
        except OSError:
            pass
        self._handler.close_connection = True

    def cut(self) -> None:
        self._handler.close_connection = True

    def empty(self, status: int, **headers: str) -> None:
        self._head(status, "", {"Content-Length": "0", **headers})

    def json(self, status: int, body: object, **headers: str) -> None:
        data = json.dumps(body, separators=(",", ":")).encode()
        kind = "application/json" if status < 400 else "application/problem+json"
        self._head(status, kind, {"Content-Length": str(len(data)), **headers})
        self._handler.wfile.write(data)

    def page(self, first: int, last: int, *, closed: bool = False) -> None:
        items = [
            json.loads(line(at, "run.completed" if at == last else "console.line")) for at in range(first, last + 1)
        ]
        self.json(200, {"items": items, "next_after_sequence": last, "last_sequence": last, "closed": closed})

    def _head(self, status: int, kind: str, headers: dict[str, str]) -> None:
        self._handler.send_response(status)
        for name, value in ({"Content-Type": kind} | headers).items():
            self._handler.send_header(name.replace("_", "-"), value)
        self._handler.end_headers()
        self._handler.wfile.flush()


def line(sequence: int, kind: str = "console.line") -> str:
    event = {
        "type": kind,
        "created_at": "2026-01-01T00:00:00Z",
        "sequence": sequence,
        "workspace_id": "ws_1",
        "payload": {},
    }
    return json.dumps(event, separators=(",", ":"))


def event(position: int | str, data: str) -> str:
    return f"event: ade.event\ndata: {data}\nid: {position}\n\n"


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.005)
