"""Runs the engine as the service does: as a process, with its events in a file."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
import unittest
from pathlib import Path

from ade_engine.cli import main
from openpyxl import load_workbook

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
TEMPLATE = ROOT / "src" / "assets" / "templates" / "default" / "src" / "ade_config"
FIELDS = ["member_id", "first_name", "last_name", "email", "start_date", "amount"]
PHASES = ["extracting", "mapping", "normalizing", "validating", "writing_output"]


class EngineTest(unittest.TestCase):
    """Gives each test a folder with its own editable copy of the template."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.config = self.folder / "config" / "ade_config"
        shutil.copytree(TEMPLATE, self.config, ignore=shutil.ignore_patterns("__pycache__"))

    def command(self, *arguments):
        return [sys.executable, "-m", "ade_engine", *map(str, arguments)]

    def options(self, *paths):
        inputs = [item for path in paths for item in ("--input", path)]
        return [*inputs, "--output-dir", self.folder / "output", "--logs-dir", self.folder / "logs"]

    def environment(self):
        return {**os.environ, "PYTHONPATH": str(self.config.parent)}

    def call(self, *arguments):
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def run_engine(self, *paths, extra=()):
        self.process = self.call("run", *self.options(*paths), *extra)
        return json.loads(self.process.stdout.splitlines()[-1])

    def run_fixture(self, name, *extra):
        result = self.run_engine(FIXTURES / name, extra=extra)
        self.assertEqual(self.process.returncode, 0, self.process.stderr)
        self.assertEqual(result["status"], "succeeded")
        return result

    def fail_run(self, *paths, code, stage, extra=()):
        result = self.run_engine(*paths, extra=extra)
        self.assertEqual(self.process.returncode, 1)
        self.assertEqual(result["status"], "failed")
        self.assertEqual((result["error"]["code"], result["error"]["stage"]), (code, stage))
        events = self.events()
        self.assertEqual(events[-1]["type"], "run.completed")
        self.assertEqual(events[-1]["payload"], result)
        self.assertEqual(events[-2]["type"], "run.error")
        self.assertEqual(events[-2]["payload"]["code"], code)
        return result["error"]["message"]

    def events(self):
        lines = (self.folder / "logs" / "events.ndjson").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def payloads(self, event_type):
        return [event["payload"] for event in self.events() if event["type"] == event_type]

    def console(self):
        return [payload["message"] for payload in self.payloads("console.line")]

    def output(self):
        workbook = load_workbook(self.folder / "output" / "normalized.xlsx")
        self.assertEqual(workbook.sheetnames, ["Normalized"])
        return list(workbook["Normalized"].iter_rows(values_only=True))

    def edit_manifest(self, change):
        path = self.config / "manifest.json"
        manifest = json.loads(path.read_text())
        change(manifest)
        path.write_text(json.dumps(manifest))

    def write_script(self, name, text):
        (self.config / name).write_text(text)

    def add_hook(self, stage, text):
        self.write_script("hooks/extra.py", text)
        self.edit_manifest(lambda m: m["hooks"].setdefault(stage, []).append("hooks.extra"))

    def write_csv(self, text, name="input.csv", encoding="utf-8"):
        path = self.folder / name
        path.write_bytes(text.encode(encoding))
        return path


class ForkingTest(EngineTest):
    """Forks for each run instead of starting an interpreter: for many small inputs."""

    def call(self, *arguments):
        with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
            child = os.fork()
            if child == 0:
                os.dup2(stdout.fileno(), 1)
                os.dup2(stderr.fileno(), 2)
                self._be_the_engine(arguments)
            _, status = os.waitpid(child, 0)
            texts = []
            for file in (stdout, stderr):
                file.seek(0)
                texts.append(file.read())
        code = os.waitstatus_to_exitcode(status)
        return subprocess.CompletedProcess(arguments, code, *texts)

    def _be_the_engine(self, arguments):
        """Does not return: the child must not go on with the tests."""
        code = 70
        try:
            sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
            os.chdir(self.folder)
            sys.path.insert(0, str(self.config.parent))
            for name in [name for name in sys.modules if name.partition(".")[0] == "ade_config"]:
                del sys.modules[name]
            code = main(list(map(str, arguments)))
        except SystemExit as exit:
            code = exit.code
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
