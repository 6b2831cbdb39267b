"""The real service as a child process that is killed and started again, and work for it."""

import io
import json
import os
import random
import signal
import socket
import subprocess
import urllib.request
import zipfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
PACKAGES = TESTS / "faults/support/packages"
BACKEND = TESTS / "support/backend.py"
BRIEF = (TESTS / "fixtures/brief.json").read_text("utf-8")
CRLF = b"\r\n"


def free_port() -> int:
    """Outside of the range from which connections get their own ports: a reader that tries again must not take the
    port of a service that is away, nor connect to itself."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as taken:
            try:
                taken.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Service:
    """Always at the same address, with the scripted engine of the fault tests."""

    def __init__(self, program: Path, folder: Path, settings: dict[str, str] | None = None):
        self._program = program.resolve()
        self._folder = folder
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.data_dir = folder / "data"
        engine = copy_package("engine", folder / "engine")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ADE_")}
        own = {"ADE_AUTH": "off", "ADE_BIND": f"127.0.0.1:{self.port}", "ADE_DATA_DIR": self.data_dir, "ADE_ENGINE_SPEC": engine}
        own |= {"ADE_INSTALLER": "pip", "ADE_MAX_CONCURRENCY": "4", "ADE_SSE_HEARTBEAT": "2s"}
        self._environment = {**kept, **{name: str(value) for name, value in own.items()}, **(settings or {})}
        self._child: subprocess.Popen | None = None

    def start(self) -> None:
        """Return once it listens."""
        with open(self._folder / "service.log", "ab") as log:
            self._child = subprocess.Popen(
                [self._program, "serve"], env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
            )
        line = self._child.stdout.readline()
        if not line.startswith(b"listening on "):
            raise RuntimeError(f"no service: {line!r}, see {self._folder}/service.log")

    def kill(self) -> None:
        """As a crash ends it."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self._child:
            self._child.send_signal(number)
            self._child.wait(60)
            self._child.stdout.close()
            self._child = None

    def call(
        self,
        path: str,
        body: object = None,
        headers: dict | None = None,
        data: bytes | None = None,
        address: str | None = None,
    ) -> object:
        """GET, or POST when there is a body; at an address of the service's or of a proxy's before it."""
        headers = dict(headers or {})
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        request = urllib.request.Request(f"{address or self.address}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=120) as response:
            return json.load(response)

    def upload(self, path: str, name: str, content: bytes, address: str | None = None, **fields: str) -> dict:
        body, content_type = multipart(name, content, fields)
        return self.call(path, headers={"Content-Type": content_type}, data=body, address=address)


def multipart(name: str, content: bytes, fields: dict[str, str]) -> tuple[bytes, str]:
    boundary = "between-parts"
    parts = [(f'form-data; name="{field}"', value.encode()) for field, value in fields.items()]
    parts.append((f'form-data; name="file"; filename="{name}"', content))
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + value + CRLF for disposition, value in parts
    )
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def copy_package(name: str, target: Path) -> Path:
    """A copy of a package with its build backend in it."""
    for path, content in package_files(name).items():
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return target


def package_files(name: str) -> dict[str, bytes]:
    root = PACKAGES / name
    files = [path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {str(path.relative_to(root)): path.read_bytes() for path in files} | {
        "backend.py": BACKEND.read_bytes()
    }


class Place:
    """A workspace with a configuration, and runs of scripts in it."""

    def __init__(self, service: Service):
        self._service = service
        self._workspace = service.call("/api/v1/workspaces", {"name": "clients"})["id"]
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for path, content in package_files("configuration").items():
                archive.writestr(path, content)
        path = f"/api/v1/workspaces/{self._workspace}/configurations/import"
        self._configuration = service.upload(path, "configuration.zip", packed.getvalue(), display_name="scripted")["id"]

    def run(self, script: str) -> str:
        """The id of a run that follows a script."""
        document = self.upload("script.txt", script.encode())["id"]
        options = {"options": {"document_ids": [document]}}
        return self._service.call(f"/api/v1/configurations/{self._configuration}/runs", options)["id"]

    def upload(self, name: str, content: bytes, address: str | None = None) -> dict:
        """A document."""
        return self._service.upload(f"/api/v1/workspaces/{self._workspace}/documents", name, content, address)

    def download(self, document: str) -> str:
        return f"/api/v1/workspaces/{self._workspace}/documents/{document}/download"

    def await_end(self, run: str) -> dict:
        return self._await_end(f"/api/v1/runs/{run}")

    def _await_end(self, work: str) -> dict:
        """The terminal event, by long polling."""
        path, after = f"{work}/events?wait=30&limit=1000", 0
        while True:
            page = self._service.call(f"{path}&after_sequence={after}")
            after = page["next_after_sequence"]
            if page["closed"] and after == page["last_sequence"]:
                return page["items"][-1]

    def execution(self) -> str:
        """The id of an execution that asks questions before it goes on."""
        wanted = {"workflow_id": "brief-to-plan", "scope_type": "project", "scope_id": "clients", "input": json.loads(BRIEF)}
        return self._service.call("/api/v1/executions", wanted)["execution_id"]

    def await_question(self, execution: str) -> dict:
        path = f"/api/v1/executions/{execution}/events?types=clarification_needed&wait=30"
        while not (asked := self._service.call(path)["items"]):
            pass
        return asked[0]

    def answer(self, execution: str) -> None:
        """Answer what an execution asks, and wait for its end."""
        asked = self.await_question(execution)
        answers = {question["id"]: answer_to(question) for question in asked["payload"]["questions"]}
        work = f"/api/v1/executions/{execution}"
        self._service.call(f"{work}/steps/{asked['step_id']}/clarification", {"answers": answers})
        self._await_end(work)

    def lines(self, work: str) -> list[str]:
        """The log itself."""
        [path] = self._service.data_dir.glob(f"workspaces/*/*/{work}/logs/events.ndjson")
        return path.read_text("utf-8").rstrip("\n").split("\n")

    def stream(self, run: str) -> str:
        return f"/api/v1/runs/{run}/events/stream"

    @property
    def feed(self) -> str:
        return f"/api/v1/workspaces/{self._workspace}/events"

    def feed_lines(self) -> list[str]:
        with urllib.request.urlopen(f"{self._service.address}{self.feed}?format=ndjson", timeout=120) as response:
            return response.read().decode().rstrip("\n").split("\n")


def answer_to(question: dict) -> str:
    return question["choices"][0]["value"] if question.get("choices") else "yes"
