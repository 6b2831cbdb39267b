"""Runs the engine as the service does, on the fixtures and on broken configurations.

python3 -m venv /tmp/venv
/tmp/venv/bin/pip install src/assets/engine src/assets/templates/default
/tmp/venv/bin/python -m unittest discover -s tests/engine
"""

import json
import re
import shutil
import signal
import subprocess
import time
import unittest
import zipfile
from datetime import date, datetime

from openpyxl import Workbook, load_workbook
from support import FIELDS, FIXTURES, PHASES, EngineTest


class RosterTest(EngineTest):
    def check_roster_values(self):
        header, *rows = self.output()
        self.assertEqual(list(header), [*FIELDS, "raw_7"])
        self.assertEqual(len(rows), 40)
        self.assertEqual(rows[0][:3], ("M-1001", "Bruno", "Larsen"))
        self.assertEqual(rows[0][3], "bruno.larsen@example.org")
        self.assertEqual(rows[0][4], datetime(2019, 2, 13))
        self.assertEqual(rows[0][5:], (37.5, "Workshop"))
        self.assertEqual(rows[1][5], 1234.5)
        self.assertEqual(rows[2][4], datetime(2021, 3, 14))
        self.assertEqual(rows[3][4], datetime(2021, 3, 14))
        self.assertEqual(rows[5][5], 1234.5)
        self.assertEqual(rows[6][1:4], ("Georg", "Winter", "georg.winter@example.org"))
        self.assertEqual(rows[7][4], datetime(2021, 3, 14))
        self.assertEqual(rows[20][4], "next spring")

    def check_roster_issues(self):
        found = [(i["row"], i["field"], i["code"]) for i in self.payloads("run.validation.issue")]
        expected = [
            (6, "member_id", "missing_required"),
            (11, "member_id", "duplicate_member_id"),
            (14, "email", "bad_email"),
            (17, "email", "missing_required"),
            (22, "start_date", "bad_date"),
            (27, "amount", "bad_amount"),
        ]
        self.assertEqual(found, expected)
        [summary] = self.payloads("run.validation.summary")
        self.assertEqual(summary["issues_total"], 6)
        self.assertEqual(summary["issues_by_severity"], {"error": 6})
        self.assertEqual(summary["issues_by_code"]["missing_required"], 2)
        self.assertEqual(summary["issues_by_field"]["email"]["issues_total"], 2)
        self.assertEqual(summary["max_severity"], "error")

    def test_workbook(self):
        result = self.run_fixture("roster.xlsx", "--metadata", "run_id=run_1")
        self.assertEqual(result["output_paths"], [str(self.folder / "output" / "normalized.xlsx")])
        self.assertEqual(result["processed_files"], [str(FIXTURES / "roster.xlsx")])
        self.check_roster_values()
        self.check_roster_issues()
        self.assertEqual(self.process.stderr, "")
        self.assertEqual(len(self.process.stdout.splitlines()), 1)

    def test_csv_with_byte_order_mark(self):
        self.run_fixture("roster.csv")
        self.check_roster_values()
        self.check_roster_issues()
        [table] = self.payloads("run.table.summary")
        self.assertIsNone(table["source_sheet"])

    def test_dates_have_a_date_format(self):
        self.run_fixture("roster.xlsx")
        workbook = load_workbook(self.folder / "output" / "normalized.xlsx")
        cell = workbook["Normalized"]["E2"]
        self.assertTrue(cell.is_date)
        self.assertEqual(cell.number_format, "yyyy-mm-dd")

    def test_event_order_and_shape(self):
        self.run_fixture("roster.xlsx")
        events = self.events()
        self.assertEqual(events[0]["type"], "run.started")
        self.assertEqual(events[-1]["type"], "run.completed")
        for event in events:
            self.assertEqual(list(event), ["type", "created_at", "payload"])
            self.assertRegex(event["created_at"], r"^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{6}Z$")
        self.assertEqual([p["phase"] for p in self.payloads("run.phase.started")], PHASES)
        completed = self.payloads("run.phase.completed")
        self.assertEqual([p["phase"] for p in completed], PHASES)
        self.assertEqual({p["status"] for p in completed}, {"succeeded"})
        self.assertTrue(all(isinstance(p["duration_ms"], int) for p in completed))

    def test_table_summary(self):
        self.run_fixture("roster.xlsx")
        [table] = self.payloads("run.table.summary")
        self.assertEqual(table["source_file"], str(FIXTURES / "roster.xlsx"))
        self.assertEqual(table["source_sheet"], "Members")
        self.assertEqual((table["row_count"], table["column_count"]), (40, 7))
        place = (table["file_index"], table["sheet_index"], table["table_index"])
        self.assertEqual(place, (0, 0, 0))
        rows = {"header_row": 1, "first_data_row": 2, "last_data_row": 41}
        self.assertEqual(table["metadata"], rows)
        self.assertEqual(table["validation"]["issues_total"], 6)
        mapped = table["mapping"]["mapped_columns"]
        self.assertEqual([column["field"] for column in mapped], FIELDS)
        self.assertEqual([column["source_column_index"] for column in mapped], list(range(6)))
        self.assertTrue(all(column["is_satisfied"] for column in mapped))
        unmapped = {"header": "Department", "source_column_index": 6, "output_header": "raw_7"}
        self.assertEqual(table["mapping"]["unmapped_columns"], [unmapped])


class LayoutTest(EngineTest):
    def test_two_tables_on_one_sheet(self):
        self.run_fixture("two_tables.xlsx")
        header, *rows = self.output()
        self.assertEqual(list(header), [*FIELDS, "raw_5", "raw_7"])
        self.assertEqual([row[0] for row in rows[:5]], [f"M-100{n}" for n in range(1, 6)])
        self.assertEqual(rows[0][6:], (None, "Workshop"))
        self.assertEqual(rows[5][0], "M-1050")
        self.assertEqual(rows[5][3], "karin.sato@example.org")
        self.assertEqual(rows[5][6:], ("Garden", None))
        self.assertEqual(len(rows), 9)
        first, second = self.payloads("run.table.summary")
        self.assertNotEqual(first["table_id"], second["table_id"])
        self.assertEqual((first["table_index"], second["table_index"]), (0, 1))
        rows = {"header_row": 10, "first_data_row": 11, "last_data_row": 14}
        self.assertEqual(second["metadata"], rows)
        self.assertTrue(any("left out: 7, 9" in line for line in self.console()))

    def test_title_rows_above_the_header(self):
        self.run_fixture("title_rows.xlsx")
        rows = self.output()
        self.assertEqual(len(rows), 9)
        self.assertEqual(rows[1][0], "M-1001")
        [table] = self.payloads("run.table.summary")
        rows = {"header_row": 5, "first_data_row": 6, "last_data_row": 13}
        self.assertEqual(table["metadata"], rows)

    def test_wide_sheet(self):
        self.run_fixture("wide.xlsx")
        header, first, *_ = self.output()
        self.assertEqual(len(header), 60)
        self.assertEqual(list(header[:8]), [*FIELDS, "raw_1", "raw_2"])
        self.assertEqual(header[-1], "raw_59")
        self.assertEqual(first[0], "M-1001")
        [table] = self.payloads("run.table.summary")
        indexes = [c["source_column_index"] for c in table["mapping"]["mapped_columns"]]
        self.assertEqual(indexes, [3, 11, 12, 27, 40, 59])
        self.assertEqual(len(table["mapping"]["unmapped_columns"]), 54)

    def test_missing_required_column(self):
        self.run_fixture("missing_required.xlsx")
        header, first, *_ = self.output()
        self.assertEqual(list(header), FIELDS)
        self.assertIsNone(first[3])
        [issue] = self.payloads("run.validation.issue")
        self.assertEqual((issue["code"], issue["field"]), ("required_column_missing", "email"))
        [table] = self.payloads("run.table.summary")
        email = table["mapping"]["mapped_columns"][3]
        self.assertEqual((email["header"], email["source_column_index"]), ("", -1))
        self.assertTrue(email["is_required"])
        self.assertFalse(email["is_satisfied"])
        [line] = self.payloads("console.line")
        self.assertEqual((line["level"], line["phase"]), ("warn", "mapping"))
        self.assertIn("no column for: Email", line["message"])

    def test_visible_sheets_by_default(self):
        self.run_fixture("two_sheets.xlsx")
        self.assertEqual(len(self.output()), 12)
        tables = self.payloads("run.table.summary")
        self.assertEqual([t["source_sheet"] for t in tables], ["North", "South"])
        self.assertEqual([t["sheet_index"] for t in tables], [0, 1])

    def test_named_sheets_even_hidden(self):
        self.run_fixture("two_sheets.xlsx", "--input-sheet", "Archive", "--input-sheet", "South")
        tables = self.payloads("run.table.summary")
        self.assertEqual([t["source_sheet"] for t in tables], ["South", "Archive"])

    def test_unmapped_columns_can_be_dropped(self):
        self.edit_manifest(lambda m: m["writer"].update(append_unmapped_columns=False))
        self.run_fixture("roster.xlsx")
        self.assertEqual(list(self.output()[0]), FIELDS)

    def test_sheet_without_a_table(self):
        self.edit_manifest(lambda m: m.update(reader={"allow_no_tables": True}))
        result = self.run_engine(self.write_csv("just,some\nwords,here\n"))
        self.assertEqual(result["status"], "succeeded")
        self.assertEqual(self.output(), [tuple(FIELDS)])
        [summary] = self.payloads("run.validation.summary")
        self.assertEqual((summary["issues_total"], summary["max_severity"]), (0, None))
        self.assertTrue(self.console()[0].endswith("no table found"))


class InputTest(EngineTest):
    def test_input_folder(self):
        inputs = self.folder / "input"
        inputs.mkdir()
        for name in ("roster.csv", "two_sheets.xlsx"):
            shutil.copy(FIXTURES / name, inputs)
        (inputs / ".DS_Store").write_bytes(b"x")
        result = self.run_engine(extra=("--input-dir", "input"))
        self.assertEqual(result["status"], "succeeded", result)
        self.assertEqual(len(self.output()), 52)
        tables = self.payloads("run.table.summary")
        self.assertEqual([t["file_index"] for t in tables], [0, 1, 1])
        self.assertEqual(len({t["table_id"] for t in tables}), 3)

    def test_several_inputs(self):
        result = self.run_fixture("title_rows.xlsx", "--input", FIXTURES / "wide.xlsx")
        self.assertEqual(len(result["processed_files"]), 2)
        self.assertEqual(len(self.output()), 21)

    def test_empty_input_folder(self):
        (self.folder / "input").mkdir()
        self.fail_run(code="input_error", stage="initialization", extra=("--input-dir", "input"))

    def test_semicolons_and_ragged_rows(self):
        text = "Member ID;Email;Amount\nM-100;a@example.org;1,5\nM-101;b@example.org;2,5;more\n"
        self.run_engine(self.write_csv(text))
        header, first, second = self.output()
        self.assertEqual(header[-1], "raw_4")
        self.assertEqual((first[5], first[6]), (1.5, None))
        self.assertEqual((second[5], second[6]), (2.5, "more"))

    def test_text_never_becomes_a_formula(self):
        text = "Member ID,Email,Note\nM-100,a@example.org,=1+1\nM-101,b@example.org,bell\x07\n"
        self.run_engine(self.write_csv(text))
        workbook = load_workbook(self.folder / "output" / "normalized.xlsx")
        cell = workbook["Normalized"]["G2"]
        self.assertEqual((cell.value, cell.data_type), ("=1+1", "s"))
        self.assertEqual(workbook["Normalized"]["G3"].value, "bell")

    def test_formula_gives_its_cached_value(self):
        path = self.folder / "formula.xlsx"
        workbook = Workbook()
        workbook.active.append(["Member ID", "Email", "Amount"])
        workbook.active.append(["M-100", "a@example.org", "=20+22"])
        workbook.save(path)
        self.rewrite_sheet(
            path, r"<f>20\+22</f><v\s*/>|<f>20\+22</f><v></v>", "<f>20+22</f><v>42</v>"
        )
        self.run_engine(path)
        self.assertEqual(self.output()[1][5], 42)

    def test_wrong_dimension_is_ignored(self):
        path = self.folder / "dimension.xlsx"
        shutil.copy(FIXTURES / "roster.xlsx", path)
        self.rewrite_sheet(path, r'<dimension ref="[^"]*"', '<dimension ref="A1"')
        self.run_engine(path)
        self.assertEqual(len(self.output()), 41)

    def rewrite_sheet(self, path, pattern, replacement):
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        name = "xl/worksheets/sheet1.xml"
        text, count = re.subn(pattern, replacement, parts[name].decode())
        self.assertEqual(count, 1)
        parts[name] = text.encode()
        with zipfile.ZipFile(path, "w") as archive:
            for part, content in parts.items():
                archive.writestr(part, content)

    def test_missing_sheet(self):
        message = self.fail_run(
            FIXTURES / "two_sheets.xlsx",
            code="input_error",
            stage="extracting",
            extra=("--input-sheet", "West"),
        )
        self.assertIn("West", message)
        self.assertIn("available: North, South, Archive", message)
        [phase] = self.payloads("run.phase.completed")
        self.assertEqual((phase["phase"], phase["status"]), ("extracting", "failed"))
        self.assertFalse((self.folder / "output" / "normalized.xlsx").exists())

    def test_corrupt_workbook(self):
        path = FIXTURES / "corrupt.xlsx"
        message = self.fail_run(path, code="input_error", stage="extracting")
        self.assertIn("cannot be read as a workbook", message)
        self.assertIn(str(path), message)
        self.assertEqual(self.process.stderr, "")

    def test_damaged_sheet_inside_a_workbook(self):
        path = self.folder / "damaged.xlsx"
        shutil.copy(FIXTURES / "roster.xlsx", path)
        self.rewrite_sheet(path, r"</sheetData>.*", "")
        self.fail_run(path, code="input_error", stage="extracting")

    def test_missing_file(self):
        message = self.fail_run(self.folder / "no.csv", code="input_error", stage="extracting")
        self.assertIn("does not exist", message)

    def test_unsupported_file(self):
        path = self.write_csv("x", name="notes.pdf")
        self.fail_run(path, code="input_error", stage="extracting")


class ConfigurationTest(EngineTest):
    def fail_config(self):
        message = self.fail_run(FIXTURES / "roster.xlsx", code="config_error", stage="load_config")
        self.assertIn("Traceback", self.process.stderr)
        return message

    def test_manifest_is_not_json(self):
        self.write_script("manifest.json", "{ not json")
        self.assertIn("not valid JSON", self.fail_config())

    def test_manifest_is_missing(self):
        (self.config / "manifest.json").unlink()
        self.assertIn("manifest.json is missing", self.fail_config())

    def test_unknown_manifest_key(self):
        self.edit_manifest(lambda m: m["columns"]["fields"]["email"].update(colour="red"))
        self.assertIn("unknown key columns.fields.email.colour", self.fail_config())

    def test_wrong_type_in_manifest(self):
        self.edit_manifest(lambda m: m["columns"]["fields"]["email"].update(required="yes"))
        self.assertIn("columns.fields.email.required must be of type bool", self.fail_config())

    def test_order_and_fields_disagree(self):
        self.edit_manifest(lambda m: m["columns"]["order"].remove("email"))
        self.assertIn("differs in email", self.fail_config())

    def test_missing_module(self):
        (self.config / "columns" / "email.py").unlink()
        self.assertIn("ade_config.columns.email does not exist", self.fail_config())

    def test_missing_package(self):
        extra = ("--config-package", "no_such_config")
        result = self.run_engine(FIXTURES / "roster.csv", extra=extra)
        self.assertEqual(result["error"]["code"], "config_error")

    def test_syntax_error(self):
        self.write_script("columns/email.py", "def detect_header(:\n")
        message = self.fail_config()
        self.assertIn("ade_config.columns.email cannot be imported: SyntaxError", message)
        self.assertIn("email.py", self.process.stderr)

    def test_module_that_exits(self):
        self.write_script("columns/email.py", "import sys\nsys.exit(0)\n")
        self.assertIn("SystemExit", self.fail_config())

    def test_positional_parameters_are_refused(self):
        self.write_script("columns/email.py", "def detect_header(header, **_):\n    return 1\n")
        self.assertIn("keyword-only", self.fail_config())

    def test_signature_without_rest_is_refused(self):
        self.write_script("columns/email.py", "def detect_header(*, header):\n    return 1\n")
        self.assertIn("**_", self.fail_config())

    def test_smallest_configuration(self):
        shutil.rmtree(self.config)
        self.config.mkdir()
        self.write_script("__init__.py", "")
        manifest = {
            "schema": "ade.manifest/v1",
            "version": "0.0.1",
            "script_api_version": 2,
            "columns": {"order": [], "fields": {}},
            "hooks": {},
            "writer": {},
        }
        self.write_script("manifest.json", json.dumps(manifest))
        self.run_fixture("roster.xlsx")
        self.assertEqual(self.output(), [])

    def test_validate(self):
        process = self.call("validate")
        self.assertEqual(process.returncode, 0)
        self.assertEqual(json.loads(process.stdout)["status"], "succeeded")

    def test_validate_finds_errors(self):
        self.write_script("columns/email.py", "def detect_header(:\n")
        process = self.call("validate", "--logs-dir", "logs")
        self.assertEqual(process.returncode, 1)
        self.assertEqual(json.loads(process.stdout)["error"]["code"], "config_error")
        self.assertIn("SyntaxError", process.stderr)
        types = [event["type"] for event in self.events()]
        self.assertEqual(types, ["run.started", "run.error", "run.completed"])


class ScriptTest(EngineTest):
    def fail_script(self, code, stage):
        message = self.fail_run(FIXTURES / "roster.xlsx", code=code, stage=stage)
        self.assertIn("Traceback", self.process.stderr)
        return message

    def test_hook_raises(self):
        self.add_hook("on_run_start", "def run(**_):\n    raise ValueError('no luck')\n")
        message = self.fail_script("hook_error", "hooks")
        self.assertIn("hooks.extra.run (on_run_start) failed: ValueError: no luck", message)

    def test_last_hook_raises(self):
        self.add_hook("on_run_end", "def main(**_):\n    raise ValueError('too late')\n")
        self.fail_script("hook_error", "hooks")
        self.assertEqual(len(self.payloads("run.completed")), 1)

    def test_hook_that_exits(self):
        self.add_hook("on_after_extract", "def run(**_):\n    raise SystemExit(0)\n")
        self.fail_script("hook_error", "hooks")

    def test_hooks_see_and_change_the_run(self):
        self.add_hook(
            "on_after_mapping",
            "def run(*, tables, run, logger, **_):\n"
            "    print('printed by a hook')\n"
            "    tables[0].records[0]['first_name'] = run.metadata['nick']\n"
            "    logger.info('%d table', len(tables))\n",
        )
        self.run_fixture("roster.xlsx", "--metadata", "nick=Zed")
        self.assertEqual(self.output()[1][1], "Zed")
        self.assertEqual(self.process.stdout.splitlines()[0], "printed by a hook")
        [line] = self.payloads("console.line")
        expected = {"scope": "run", "stream": "stdout", "level": "info", "message": "1 table"}
        self.assertEqual({key: line[key] for key in expected}, expected)

    def test_column_detector_raises(self):
        self.write_script("columns/email.py", "def detect_x(**_):\n    return 1 / 0\n")
        message = self.fail_script("pipeline_error", "mapping")
        self.assertIn("ade_config.columns.email.detect_x failed: ZeroDivisionError", message)

    def test_row_detector_raises(self):
        self.write_script("row_detectors/header.py", "def detect_x(**_):\n    return {}['x']\n")
        self.fail_script("pipeline_error", "extracting")

    def test_detector_returns_nonsense(self):
        self.write_script("columns/email.py", "def detect_x(**_):\n    return float('nan')\n")
        self.assertIn("finite number", self.fail_script("pipeline_error", "mapping"))

    def test_transform_raises(self):
        self.write_script("columns/email.py", "def transform(**_):\n    raise KeyError('x')\n")
        message = self.fail_script("pipeline_error", "normalizing")
        self.assertIn("transform failed at row 2: KeyError", message)

    def test_transform_invents_a_field(self):
        self.write_script("columns/email.py", "def transform(**_):\n    return {'nick': 1}\n")
        self.assertIn("only fields", self.fail_script("pipeline_error", "normalizing"))

    def test_validator_returns_nonsense(self):
        self.write_script(
            "columns/amount.py",
            "def detect_x(*, header, **_):\n    return header == 'Fee'\n"
            "def validate(**_):\n    return [{'code': 'x'}]\n",
        )
        self.assertIn("severity", self.fail_script("pipeline_error", "validating"))

    def test_issue_events_are_capped(self):
        rows = "".join(f"M-{n},nobody\n" for n in range(1000, 2200))
        result = self.run_engine(self.write_csv(f"Member ID,Email\n{rows}"))
        self.assertEqual(result["status"], "succeeded")
        self.assertEqual(len(self.payloads("run.validation.issue")), 1000)
        self.assertEqual(self.payloads("run.validation.summary")[0]["issues_total"], 1200)
        self.assertTrue(any("first 1000" in line for line in self.console()))


class CommandLineTest(EngineTest):
    def test_version(self):
        process = self.call("version")
        expected = {"version": "1.0.0", "capabilities": ["validate", "input_dir"]}
        self.assertEqual(json.loads(process.stdout), expected)

    def test_wrong_usage(self):
        both = (*self.options(FIXTURES / "roster.csv"), "--input-dir", FIXTURES)
        bad_metadata = (*self.options(FIXTURES / "roster.csv"), "--metadata", "novalue")
        for arguments in (("run",), ("run", *self.options()), ("run", *both), ("fly",), ()):
            self.assertEqual(self.call(*arguments).returncode, 2, arguments)
        self.assertEqual(self.call("run", *bad_metadata).returncode, 2)
        self.assertFalse((self.folder / "logs").exists())

    def test_terminates_on_signal(self):
        self.add_hook("on_run_start", "import time\ndef run(**_):\n    time.sleep(60)\n")
        process = subprocess.Popen(
            self.command("run", *self.options(FIXTURES / "roster.csv")),
            env=self.environment(),
            cwd=self.folder,
        )
        events = self.folder / "logs" / "events.ndjson"
        while not (events.exists() and events.stat().st_size):
            time.sleep(0.02)
        process.terminate()
        self.assertEqual(process.wait(5), -signal.SIGTERM)


class TemplateValueTest(unittest.TestCase):
    """The parsers of the template on single values."""

    def test_amounts(self):
        from ade_config.columns.amount import parse_amount

        cases = {
            "12": 12, "-3.5": -3.5, "$1,234.50": 1234.5, "1.234,50 €": 1234.5, "1,234": 1234,
            "1234,5": 1234.5, "CHF 1'234.50": 1234.5, "(12.00)": -12, "1.234.567": 1234567,
            "EUR 1 234,50": 1234.5, "n/a": None, "1,2,3": None, "12 apples": None, 7: 7, True: None,
        }  # fmt: skip
        for value, expected in cases.items():
            self.assertEqual(parse_amount(value), expected, value)

    def test_dates(self):
        from ade_config.columns.start_date import parse_date

        day = date(2021, 3, 14)
        for value in (
            "2021-03-14",
            "14.3.2021",
            "3/14/2021",
            44269,
            "44269",
            datetime(2021, 3, 14, 9),
        ):
            self.assertEqual(parse_date(value), day, value)
        for value in ("31.2.2021", "14/3/2021", "soon", "12", 12, None):
            self.assertIsNone(parse_date(value), value)

    def test_headers(self):
        from ade_config.shared import header_score

        meta = {"label": "Email", "synonyms": ["e-mail address"]}
        self.assertEqual(header_score(" E-MAIL  Address: ", meta), 0.9)
        self.assertEqual(header_score("E-mail address (private)", meta), 0.5)
        self.assertEqual(header_score("Mailing list", meta), 0.0)


if __name__ == "__main__":
    unittest.main()
