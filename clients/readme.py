"""The pages of the clients, as somebody would copy them: blocks are taken out, installed and run against a service.

python clients/readme.py --ade target/debug/ade [typescript | python] ...

Law: what is run is what stands there, but for the address of the service and `path/to/ade`.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
TYPES = ["typescript", "@types/node"]


class Service:
    """One with sign-in, at a port that is free."""

    def __init__(self, program: Path, folder: Path):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ADE_")}
        settings = {"ADE_BIND": "127.0.0.1:0", "ADE_DATA_DIR": str(folder)}
        self._child = subprocess.Popen(
            [program.resolve(), "serve"], env=kept | settings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        line = self._child.stdout.readline()
        self.url = line.removeprefix("listening on ").strip()
        if not self.url.startswith("http"):
            raise RuntimeError(f"no service: {line!r}")
        self.key = (folder / "admin.key").read_text().strip()

    def stop(self) -> None:
        self._child.send_signal(signal.SIGTERM)
        self._child.wait(60)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def here(text: str, service: Service) -> str:
    return text.replace("path/to/ade", str(ROOT)).replace("http://127.0.0.1:8000", service.url)


def call(command: list[str], folder: Path, service: Service, **more: str) -> str:
    environment = {**os.environ, "ADE_API_KEY": service.key, **more}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)[:80]}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def expect(output: str, *wanted: str) -> None:
    for text in wanted:
        if not re.search(text, output):
            raise RuntimeError(f"nothing like {text!r} in:\n{output[-3000:]}")


def typescript(folder: Path, service: Service) -> None:
    """Installed from the packed archive, checked by the compiler, run by Node and by Chromium."""
    page = HERE / "typescript/README.md"
    (folder / "package.json").write_text('{"type": "module", "private": true}')
    for script in blocks(page, "sh"):
        call(["bash", "-euc", here(script, service)], folder, service)
    for name in TYPES:
        target = folder / "node_modules" / name
        target.parent.mkdir(exist_ok=True)
        target.symlink_to(HERE / "typescript/node_modules" / name)
    (folder / "program.ts").write_text(here("\n".join(blocks(page, "ts")), service))
    (folder / "browser.ts").write_text(here("\n".join(blocks(page, "ts browser")), service))
    strict = ["--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom,dom.iterable"]
    compiler = str(HERE / "typescript/node_modules/.bin/tsc")
    call([compiler, *strict, "--types", "node", "program.ts", "browser.ts"], folder, service)
    output = call(["node", "program.js"], folder, service)
    expect(output, "ended: succeeded", r"output: \d+ bytes", "ended at", r"run.completed run_\w+", "completed 0")
    expect(output, "409 run_not_cancellable", "the first event, on the same connection", r"run_\w+ succeeded")
    expect(output, r"notes.md 6", "editor: operator")
    browser = HERE / "typescript/test/system/readme.mjs"
    expect(call(["node", str(browser), str(folder / "browser.js"), service.url], folder, service), r"ws_\w+ live", "run.completed")


def python(folder: Path, service: Service) -> None:
    page = HERE / "python/README.md"
    call([sys.executable, "-m", "venv", "venv"], folder, service)
    tools = {"PATH": f"{folder}/venv/bin:{os.environ['PATH']}"}
    for script in blocks(page, "sh"):
        call(["bash", "-euc", here(script, service)], folder, service, **tools)
    (folder / "program.py").write_text(here("\n".join(blocks(page, "python")), service))
    output = call(["venv/bin/python", "program.py"], folder, service)
    expect(output, "ended: succeeded", "roster-normalized.xlsx", "ended at", r"run.completed run_\w+", "completed 0")
    expect(output, "409 run_not_cancellable", r"run_\w+ succeeded", "live|ended", r"\d+ run.completed")
    expect(output, r"notes.md 6", "editor: operator")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--ade", type=Path, default=ROOT / "target/debug/ade")
    options.add_argument("page", nargs="*", default=["typescript", "python"])
    given = options.parse_args()
    failed = 0
    for name in given.page:
        with tempfile.TemporaryDirectory(prefix="ade-readme-") as root:
            folder = Path(root, name)
            folder.mkdir()
            service = Service(given.ade, Path(root, "data"))
            try:
                {"typescript": typescript, "python": python}[name](folder, service)
                print(f"  ok     {name}", flush=True)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                failed += 1
                print(f"  FAILED {name}: {error}", flush=True)
            finally:
                service.stop()
    print(f"{len(given.page) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
