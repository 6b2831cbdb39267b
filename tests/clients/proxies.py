"""The configurations of docs/PROXIES.md, each as it stands there, in front of the real service.

    python3 tests/clients/proxies.py [--ade target/debug/ade] [--python PYTHON] [proxy ...]

Through each of them readers follow a run while the service is killed and started again; an event must arrive while
the next one waits for it; a large upload and a range of a download pass.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from matrix import HERE, clients, live
from service import Place, Service, free_port

PAGE = HERE.parent.parent / "docs/PROXIES.md"
READERS = ["node eventsource", "python httpx_sse", "chromium native"]
READERS += ["ade node sse", "ade node poll", "ade chromium page", "ade python sync", "ade python async"]
# How long the service is away, so that readers come back while nobody is there.
OUTAGE = 3.0
UPLOAD = 25 << 20

NGINX = "daemon off;\npid nginx.pid;\nerror_log error.log;\nevents {{}}\nhttp {{\naccess_log off;\n{}\n}}\n"
COMMANDS = {
    "nginx": ["nginx", "-p", "{folder}", "-c", "{file}"],
    "caddyfile": ["caddy", "run", "--adapter", "caddyfile", "--config", "{file}"],
    "haproxy": ["haproxy", "-q", "-db", "-f", "{file}"],
}


class Proxy:
    def __init__(self, language: str, folder: Path, service: Service):
        self._port = free_port()
        self.address = f"http://127.0.0.1:{self._port}"
        block = re.search(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)[1]
        block = block.replace("127.0.0.1:8000", f"127.0.0.1:{service.port}").replace("127.0.0.1:8080", f"127.0.0.1:{self._port}")
        file = folder / language
        file.write_text(NGINX.format(block) if language == "nginx" else block)
        command = [part.format(folder=folder, file=file) for part in COMMANDS[language]]
        with open(folder / f"{language}.log", "wb") as log:
            self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def await_start(self) -> None:
        end = time.monotonic() + 30
        while self.status("/health/live") != 200:
            if time.monotonic() > end or self._child.poll() is not None:
                raise RuntimeError("the proxy does not answer")
            time.sleep(0.05)

    def status(self, path: str, **headers: str) -> int | None:
        try:
            request = urllib.request.Request(self.address + path, headers=headers)
            with urllib.request.urlopen(request, timeout=90) as response:
                return response.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    def end(self) -> None:
        self._child.terminate()
        self._child.wait(30)


def large_bodies(place: Place, proxy: Proxy) -> list[str]:
    """An upload of the largest size, and a range of it back."""
    content = bytes(range(256)) * (UPLOAD // 256)
    document = place.upload("large.csv", content[:-512], proxy.address)["id"]
    request = urllib.request.Request(f"{proxy.address}{place.download(document)}", headers={"Range": "bytes=256-1279"})
    with urllib.request.urlopen(request, timeout=60) as response:
        if response.status != 206 or response.read() != content[256:1280]:
            return [f"a range of a download is wrong: {response.status}"]
    return []


def try_out(language: str, service: Service, place: Place, wanted: list, folder: Path) -> list[str]:
    proxy = Proxy(language, folder, service)
    try:
        proxy.await_start()
        faults = large_bodies(place, proxy)

        def away() -> None:
            time.sleep(OUTAGE)
            if language == "nginx" and proxy.status("/api/v1/workspaces") != 502:
                faults.append("a request that is no stream is not answered 502 while the service is away")

        readers, logs, late = live(service, place, wanted, folder, proxy.address, away)
        faults += late
        for reader in readers:
            faults += [f"{reader.client.name} {fault}" for fault in reader.faults(logs)]
            reader.end()
        return faults
    finally:
        proxy.end()


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--ade", type=Path, default=HERE.parent.parent / "target/debug/ade")
    options.add_argument("--python", default=sys.executable, help="with the packages of python/requirements.txt")
    options.add_argument("proxy", nargs="*", help=f"some of {', '.join(COMMANDS)}")
    given = options.parse_args()
    wanted = [client for client in clients(given.python, None) if client.name in READERS]
    failed = 0
    languages = given.proxy or list(COMMANDS)
    with tempfile.TemporaryDirectory(prefix="ade-proxies-") as root:
        service = Service(given.ade, Path(root))
        service.start()
        place = Place(service)
        for language in languages:
            folder = Path(root, f"behind-{language}")
            folder.mkdir()
            faults = try_out(language, service, place, wanted, folder)
            failed += bool(faults)
            print(f"  {'FAILED' if faults else 'ok':6} {language}" + "".join(f"\n         {fault}" for fault in faults), flush=True)
        service.stop()
    print(f"{len(languages) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
