"""Readers that people use, against the real service, which is killed and started again while they read.

    python3 tests/clients/matrix.py [--ade target/debug/ade] [--python PYTHON] [client ...]

Law: each of them is given every event of the log once, in order, with the bytes of the log, and then stops.
Three rounds, each with one kill: a run that is at work, where a reader stops at the terminal event; the replay of a
finished run, where each that can has to learn from 204 that there will be no more; and, for those, several streams on
one connection: a run that the kill interrupts, and a queued run and an execution that go on after it. Meanwhile other
readers follow the feed of the workspace through all of it.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from service import Place, Service

HERE = Path(__file__).resolve().parent
DEADLINE = 240
POLL = 0.05

# Text that is not what it looks like to somebody who splits lines carelessly.
AWKWARD = [
    "data: not data",
    "id: 99999",
    "event: run.completed",
    ": no comment",
    "a\u2028b\u2029c\u0085d\u000be\u000cf\u001cg\u001dh\u001ei",
    "\\u2028 \\n \\\\ \"quoted\" 'text' </script>",
    "😀 東京 e\u0301 \ufeffmark",
    "x" * 60_000,
    "é" * 40_000,
    "\u2028" * 20_000,
]
PRINTED = "\n".join(f"print {text}" for text in AWKWARD)


# Lines that are followed have no 204; the polyfill expects a body in Node; two never tell what the answer was.
STOPS_AT_END = {"python ndjson", "python aiosseclient", "node event-source-polyfill", "chromium reconnecting"}
# Several streams need a connection that stays.
STOPS_AT_END |= {"ade python poll"}


@dataclass
class Client:
    name: str
    command: list[str]
    # It takes 204 for a failure that passes, so it has to stop at the terminal event.
    stops_at_end: bool = False


def clients(python: str, go: Path | None) -> list[Client]:
    node = ["eventsource", "eventsource3", "eventsource2", "event-source-polyfill", "undici", "extended-eventsource"]
    node += ["event-source-plus"]
    node += ["launchdarkly-eventsource", "fetch-event-source", "eventsource-client", "eventsource-parser", "fetch-event-stream"]
    found = [Client(f"node {name}", ["node", str(HERE / f"node/{name}.mjs")]) for name in node]
    own = str(HERE / "node/ade.mjs")
    found += [Client(f"ade node {kind}", ["node", own, kind]) for kind in ["sse", "poll"]]
    browser = str(HERE / "node/ade_chromium.mjs")
    found += [Client(f"ade chromium {kind}", ["node", browser, kind]) for kind in ["page", "worker"]]
    deno = HERE.parent.parent / "clients/typescript/node_modules/.bin/deno"
    found.append(Client("ade deno", [str(deno), "run", "--allow-all", "--quiet", own]))
    for kind in ["native", "polyfill", "reconnecting"]:
        found.append(Client(f"chromium {kind}", ["node", str(HERE / "node/chromium.mjs"), kind]))
    names = ["httpx_sse", "sseclient_py", "requests_sse", "aiohttp_sse", "aiosseclient", "curl", "ndjson"]
    found += [Client(f"python {name}", [python, str(HERE / f"python/{name}_client.py")]) for name in names]
    own = str(HERE / "python/own_client.py")
    found += [Client(f"ade python {kind}", [python, own, kind]) for kind in ["sync", "async", "poll"]]
    found.append(Client("java net.http", ["java", str(HERE / "java/Follow.java")]))
    if go:
        found.append(Client("go donovanhide", [str(go)]))
    for client in found:
        client.stops_at_end = client.name in STOPS_AT_END
    return found


class Reader:
    """A client at work; what it says goes to a file."""

    def __init__(self, client: Client, url: str, stays: bool, folder: Path):
        self.client = client
        self._paused = False
        self._path = folder / f"{client.name.replace(' ', '-')}.out"
        program, *rest = client.command[1:] if client.command[0] in ("node", "java") else client.command
        command = [client.command[0], program] if client.command[0] in ("node", "java") else [client.command[0]]
        with open(self._path, "wb") as out, open(self._path.with_suffix(".err"), "wb") as err:
            arguments = self._arguments(command, rest, url, stays)
            self._child = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    @staticmethod
    def _arguments(command: list[str], rest: list[str], url: str, stays: bool) -> list[str]:
        """The program, the address, the mode, and what else the client takes."""
        if command[0] == "node":
            return [*command, url, "stay" if stays else "", *rest]
        return [*command, *rest, url, *(["stay"] if stays else [])]

    def has_begun(self) -> bool:
        return self._path.stat().st_size > 0

    def has_ended(self) -> bool:
        return self._child.poll() is not None

    def pause(self) -> bool:
        """Stop the program where it is once it has begun, so that however fast it is it has not finished."""
        if not self._paused and self.has_begun() and not self.has_ended():
            self._child.send_signal(signal.SIGSTOP)
            self._paused = True
        return self._paused or self.has_ended()

    def resume(self) -> None:
        self._child.send_signal(signal.SIGCONT)

    def has(self, text: str) -> bool:
        return text.encode() in self._path.read_bytes()

    def count(self) -> int:
        return self._path.read_bytes().count(b"\n")

    def end(self) -> None:
        self._child.kill()
        self._child.wait()

    def faults(self, logs: dict[str, list[str]]) -> list[str]:
        """What it did not get right of a stream, or of several streams on one connection, and how it ended."""
        if not self.has_ended():
            return [f"did not stop; it has {self.count()} of {sum(map(len, logs.values()))} events"]
        said = self._said()
        faults = [] if said and "stopped" in said[-1] else [f"did not say that it stopped: {self._errors()}"]
        return faults + self.differences(logs)

    def differences(self, logs: dict[str, list[str]]) -> list[str]:
        got = [(event["id"], event["data"]) for event in self._said() if "id" in event]
        wanted = merged(logs, got)
        if got == wanted:
            return []
        at = next((at for at, pair in enumerate(zip(got, wanted)) if pair[0] != pair[1]), min(len(got), len(wanted)))
        shown = [(position, data[:80]) for position, data in got[at : at + 2]]
        return [f"has {len(got)} of {len(wanted)} events and differs at event {at + 1}: {shown}"]

    def _said(self) -> list[dict]:
        """Whole lines, by line feeds alone: what is said may hold every other separator of lines as it is."""
        return [json.loads(line) for line in self._path.read_bytes().split(b"\n")[:-1]]

    def _errors(self) -> str:
        return self._path.with_suffix(".err").read_text("utf-8", "replace").strip()[-300:]


def merged(logs: dict[str, list[str]], got: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """What is right: the lines of all logs with their ids, between the logs in the order in which they were received."""
    owners = {line: stream for stream, lines in logs.items() for line in lines}
    order = [owners[data] for _, data in got if data in owners]
    for stream, lines in logs.items():
        order += [stream] * (len(lines) - order.count(stream))
    at, wanted = dict.fromkeys(logs, 0), []
    for stream in order:
        if at[stream] < len(logs[stream]):
            line = logs[stream][at[stream]]
            at[stream] += 1
            several = ",".join(f"{id}:{sequence}" for id, sequence in at.items())
            wanted.append((several if len(logs) > 1 else str(at[stream]), line))
    return wanted


def wait_until(what: str, condition: Callable[[], bool]) -> list[str]:
    """Nothing, or that it did not come about."""
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            return [f"{what}: not within {DEADLINE} s"]
        time.sleep(POLL)
    return []


def live(
    service: Service,
    place: Place,
    wanted: list[Client],
    folder: Path,
    address: str | None = None,
    away: Callable[[], None] = lambda: None,
) -> tuple[list[Reader], dict[str, list[str]], list[str]]:
    """A run that is killed with its service: what it said until then, and an end that the next start gives it.

    Gives the readers, the logs that they read, and what did not come about in time.
    """
    gate = folder / "gate"
    run = place.run(f"print before the gate\nwait {gate}\n{PRINTED}\nemit 6000 100")
    url = (address or service.address) + place.stream(run)
    readers = [Reader(client, url, False, folder) for client in wanted]
    # The engine says nothing more before the gate is there: who waits for more to send this has a buffer too many.
    late = wait_until("all have what was said so far", lambda: all(r.has("before the gate") or r.has_ended() for r in readers))
    gate.touch()
    enough = len(AWKWARD) + 100
    late += wait_until("all are in the middle", lambda: all(r.count() > enough or r.has_ended() for r in readers))
    service.kill()
    away()
    service.start()
    place.await_end(run)
    late += wait_until("all have ended", lambda: all(reader.has_ended() for reader in readers))
    return readers, {run: place.lines(run)}, late


def replay(
    service: Service, place: Place, wanted: list[Client], folder: Path
) -> tuple[list[Reader], dict[str, list[str]], list[str]]:
    """A finished run; the service is killed while everybody is in the middle of it."""
    run = place.run(f"{PRINTED}\nemit 10000")
    place.await_end(run)
    log = place.lines(run)
    url = service.address + place.stream(run)
    readers = [Reader(client, url, not client.stops_at_end, folder) for client in wanted]
    late = wait_until("all are in the middle", lambda: all([reader.pause() for reader in readers]))
    service.kill()
    middle = sum(0 < reader.count() < len(log) for reader in readers)
    print(f"  killed while {middle} of {len(readers)} were in the middle", flush=True)
    service.start()
    for reader in readers:
        reader.resume()
    late += wait_until("all have ended", lambda: all(reader.has_ended() for reader in readers))
    return readers, {run: log}, late


def together(
    service: Service, place: Place, wanted: list[Client], folder: Path
) -> tuple[list[Reader], dict[str, list[str]], list[str]]:
    """Several streams on one connection, of which all but the first go on after the kill."""
    interrupted = place.run(f"{PRINTED}\nprint no more of this\nwait {folder / 'never'}")
    queued = place.run(f"{PRINTED}\nemit 300 100\n{PRINTED}")
    execution = place.execution()
    place.await_question(execution)
    streams = [interrupted, queued, execution]
    url = f"{service.address}/api/v1/events/stream?{'&'.join(f'stream={stream}' for stream in streams)}"
    readers = [Reader(client, url, True, folder) for client in wanted if not client.stops_at_end]
    said = ["no more of this", "run.waiting", "clarification_needed"]
    late = wait_until(
        "all wait for more", lambda: all(all(map(reader.has, said)) or reader.has_ended() for reader in readers)
    )
    service.kill()
    service.start()
    place.answer(execution)
    place.await_end(queued)
    late += wait_until("all have ended", lambda: all(reader.has_ended() for reader in readers))
    return readers, {stream: place.lines(stream) for stream in streams}, late


def of_the_feed(readers: list[Reader], place: Place) -> dict[str, list[str]]:
    """What is wrong with readers of the feed, by client. A feed has no end: they are ended once they have all of it."""
    log = place.feed_lines()
    wait_until("all have the feed", lambda: all(reader.count() >= len(log) or reader.has_ended() for reader in readers))
    faults = {reader.client.name: reader.differences({"feed": log}) for reader in readers}
    for reader in readers:
        reader.end()
    return faults


def shown(name: str, faults: list[str]) -> str:
    return f"  {'FAILED' if faults else 'ok':6} {name}" + "".join(f"\n         {fault}" for fault in faults)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--ade", type=Path, default=HERE.parent.parent / "target/debug/ade")
    options.add_argument("--python", default=sys.executable, help="with the packages of python/requirements.txt")
    options.add_argument("--go", type=Path, help="the compiled go/follow.go; left out without it")
    options.add_argument("client", nargs="*", help="only those whose names contain one of these")
    given = options.parse_args()
    wanted = [c for c in clients(given.python, given.go) if not given.client or any(part in c.name for part in given.client)]
    failed = set()
    with tempfile.TemporaryDirectory(prefix="ade-clients-") as root:
        # One run at a time, so that a second one is queued.
        service = Service(given.ade, Path(root), {"ADE_MAX_CONCURRENCY": "1"})
        service.start()
        place = Place(service)
        feed = Path(root, "feed")
        feed.mkdir()
        feed_readers = [Reader(client, f"{service.address}{place.feed}/stream", True, feed) for client in wanted]
        for play in (live, replay, together):
            folder = Path(root, play.__name__)
            folder.mkdir()
            print(play.__name__, flush=True)
            readers, logs, late = play(service, place, wanted, folder)
            print("".join(f"  {fault}\n" for fault in late), end="")
            for reader in readers:
                faults = reader.faults(logs)
                failed |= {reader.client.name} if faults else set()
                print(shown(reader.client.name, faults))
                reader.end()
        print("the feed, through all of that", flush=True)
        for name, faults in of_the_feed(feed_readers, place).items():
            failed |= {name} if faults else set()
            print(shown(name, faults))
        service.stop()
    print(f"{len(wanted) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
