"""Large and hostile input: memory follows the filled cells, and what is built to exhaust the engine is refused."""

import resource
import subprocess
import zipfile

import workbooks as wb
from openpyxl.utils import get_column_letter
from support import EngineTest

MEBIBYTE = 1024 * 1024


class LimitsTest(EngineTest):
    def within(self, mebibytes, path):
        """Runs the engine with so much address space and returns its result."""

        def limit():
            resource.setrlimit(resource.RLIMIT_AS, (mebibytes * MEBIBYTE, mebibytes * MEBIBYTE))

        command = self.command("run", *self.options(path))
        self.process = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            preexec_fn=limit,
        )
        self.assertTrue(self.process.stdout, self.process.stderr)
        return self.events()[-1]["payload"]

    def workbook(self, data, name="input.xlsx", **options):
        return wb.write(self.folder / name, wb.parts_of({"S": data}, **options))

    def refused(self, path, code, *words):
        result = self.within(400, path)
        self.assertEqual(result["status"], "failed")
        self.assertEqual((result["error"]["code"], result["error"]["stage"]), (code, "extracting"))
        for word in words:
            self.assertIn(word, result["error"]["message"])


class WideTest(LimitsTest):
    def sheet(self, stray):
        """4,000 people, of whom those that ``stray`` picks have a cell at the far right."""
        rows = [wb.row("Member ID", "Email", "Amount")]
        for index in range(4000):
            cells = wb.text(f"M-{index}") + wb.text(f"a{index}@example.com") + wb.number(index)
            if stray(index):
                cells += f'<c r="XFD{index + 2}" t="str"><v>far</v></c>'
            rows.append(f"<row>{cells}</row>")
        return self.workbook(wb.worksheet("".join(rows)))

    def test_one_stray_cell_at_the_far_right(self):
        result = self.within(200, self.sheet(lambda index: index == 3))
        self.assertEqual(result["status"], "succeeded", result)
        header, *rows = self.output()
        self.assertEqual(
            (header[-1], rows[3][-1], rows[4][-1], len(rows)), ("raw_16384", "far", None, 4000)
        )

    def test_a_stray_cell_in_every_row(self):
        result = self.within(200, self.sheet(lambda index: True))
        self.assertEqual(result["status"], "succeeded", result)
        self.assertEqual(len(self.output()), 4001)

    def test_a_cell_in_another_column_of_every_row(self):
        rows = [wb.row("Member ID", "Email")]
        for index in range(3000):
            cells = wb.text(f"M-{index}") + wb.text(f"a{index}@example.com")
            column = get_column_letter(3 + index * 5)
            rows.append(
                f'<row r="{index + 2}">{cells}<c r="{column}{index + 2}"><v>{index}</v></c></row>'
            )
        result = self.within(400, self.workbook(wb.worksheet("".join(rows))))
        self.assertEqual(result["status"], "succeeded", result)
        [table] = self.payloads("run.table.summary")
        self.assertEqual(len(table["mapping"]["unmapped_columns"]), 1000)
        self.assertEqual(table["mapping"]["unmapped_columns_omitted"], 2000)
        lines = (self.folder / "logs" / "events.ndjson").read_bytes().splitlines()
        self.assertLess(max(map(len, lines)), MEBIBYTE)

    def test_the_last_row_of_a_sheet(self):
        data = (
            wb.roster(1)
            + '<row r="1048576"><c r="A1048576" t="str"><v>M-9</v></c><c r="D1048576" t="str"><v>z@example.com</v></c></row>'
        )
        result = self.within(200, self.workbook(wb.worksheet(data)))
        self.assertEqual(result["status"], "succeeded", result)
        [table] = self.payloads("run.table.summary")
        self.assertEqual(table["metadata"]["last_data_row"], 1048576)


class HostileTest(LimitsTest):
    def bomb(self, name, content, size):
        """A workbook of which one part is ``content`` over and over, up to ``size`` bytes."""
        parts = wb.parts_of({"S": wb.worksheet(wb.roster())}, shared=["x"])
        path = self.folder / "bomb.xlsx"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for part, text in parts.items():
                if part != name:
                    archive.writestr(part, text)
            with archive.open(name, "w") as stream:
                stream.write(parts[name].partition("<row")[0].encode())
                block = content * (MEBIBYTE // len(content))
                for _ in range(size // MEBIBYTE):
                    stream.write(block)
        return path

    def test_zip_bombs(self):
        for part in ("xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/workbook.xml"):
            with self.subTest(part):
                path = self.bomb(part, b"<row><c><v>1</v></c></row>", 300 * MEBIBYTE)
                self.assertLess(path.stat().st_size, 3 * MEBIBYTE)
                self.refused(path, "input_too_large", "bomb.xlsx is too large", "unpacks from")

    def test_a_bomb_in_a_part_that_is_not_read(self):
        parts = wb.parts_of({"S": wb.worksheet(wb.roster())})
        parts["xl/media/image1.png"] = b"0" * (100 * MEBIBYTE)
        path = wb.write(self.folder / "a.xlsx", parts)
        self.assertEqual(self.within(400, path)["status"], "succeeded")

    def test_endless_tags_texts_and_comments(self):
        endless = {
            "<row><c a='" + "a" * (40 * MEBIBYTE): "endless tag",
            "<!-- " + "a " * (20 * MEBIBYTE): "endless tag",
            "<row><c t='str'><v>" + "x" * (20 * MEBIBYTE): "longer than",
        }
        for data, words in endless.items():
            with self.subTest(data[:12]):
                self.refused(self.workbook(wb.worksheet(data)), "input_error", words)

    def test_deep_xml(self):
        for data in (
            "<a>" * 1_000_000,
            "<row>" + "<c>" * 1_000_000,
            "<row><c><is>" + "<r>" * 1_000_000,
            "<row>" * 1_000_000,
            "<row><c><v>" + "<v>" * 1_000_000,
            "<row><c><is><t>" + "<t>" * 1_000_000,
        ):
            with self.subTest(data[:20]):
                self.refused(self.workbook(wb.worksheet(data)), "input_error", "cannot be read")
        parts = wb.parts_of({"S": wb.worksheet(wb.roster())}, shared=["<si>" + "<a>" * 1_000_000])
        self.refused(wb.write(self.folder / "a.xlsx", parts), "input_error", "nested too deeply")

    def test_entities(self):
        lol = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
        (self.folder / "secret.txt").write_text("secret")
        declarations = (
            '<!ENTITY l0 "lol">' + lol,
            f'<!ENTITY l9 SYSTEM "file://{self.folder}/secret.txt">',
        )
        for declared in declarations:
            for part in ("xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/workbook.xml"):
                with self.subTest(declared=declared[:20], part=part):
                    shared = ["&l9;" if "Strings" in part else "x"]
                    parts = wb.parts_of({"S": wb.worksheet(wb.roster())}, shared=shared)
                    text = parts[part].removeprefix('<?xml version="1.0" encoding="UTF-8"?>')
                    parts[part] = f"<!DOCTYPE x [{declared}]>{text}"
                    self.refused(wb.write(self.folder / "a.xlsx", parts), "input_error", "entities")

    def test_a_million_merged_ranges(self):
        merged = "".join(f'<mergeCell ref="A{n}:B{n + 1}"/>' for n in range(10, 1_000_010))
        path = self.workbook(wb.worksheet(wb.roster(), after=f"<mergeCells>{merged}</mergeCells>"))
        self.assertEqual(self.within(400, path)["status"], "succeeded")

    def test_more_parts_than_a_workbook_has(self):
        parts = wb.parts_of({"S": wb.worksheet(wb.roster())})
        parts.update((f"x/{number}", "") for number in range(70_000))
        path = wb.write(self.folder / "a.xlsx", parts, zipfile.ZIP_STORED)
        self.refused(path, "input_too_large", "65,534 parts")

    def test_one_long_text_in_many_cells(self):
        shared = ["x" * MEBIBYTE]
        cells = '<row><c t="s"><v>0</v></c></row>' * 4000
        path = self.workbook(wb.worksheet(wb.roster(1) + cells), shared=shared)
        self.refused(path, "input_too_large", "500,000,000 characters")

    def test_more_cells_in_a_row_than_any_sheet_has(self):
        data = wb.worksheet("<row>" + wb.number(1) * 70_000 + "</row>")
        self.refused(self.workbook(data), "input_error", "row 1 has more than 65,536 cells")
        path = self.write_csv("Member ID,Email\n" + "x," * 70_000)
        self.refused(path, "input_too_large", "line 2 has more than 65,536 values")

    def test_a_text_in_countless_pieces(self):
        data = wb.worksheet("<row><c t='str'><v>" + "a<x/>" * 2_000_000 + "</v></c></row>")
        self.refused(self.workbook(data), "no_tables_found", "no row")

    def test_more_tables_than_a_run_may_have(self):
        content = "Member ID,Email\n" * 20_001
        self.refused(self.write_csv(content), "input_too_large", "20,000")

    def test_memory_that_does_not_suffice(self):
        rows = "".join(f"M-{n},a{n}@example.com\n" for n in range(400_000))
        result = self.within(120, self.write_csv(f"Member ID,Email\n{rows}"))
        self.assertEqual(result["error"]["code"], "input_too_large")
        self.assertIn("memory", result["error"]["message"])

    def test_messages_are_bounded(self):
        self.run_engine(self.write_csv(f'Member ID,Email\nM-1,"{"x" * 300_000}"\n'))
        [issue] = self.payloads("run.validation.issue")
        self.assertLess(len(issue["message"]), 1100)


class LargeTest(LimitsTest):
    def test_as_many_rows_as_a_sheet_can_have(self):
        path = self.folder / "input.xlsx"
        parts = wb.parts_of({"S": ""})
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in parts.items():
                if "sheet1" not in name:
                    archive.writestr(name, text)
            with archive.open("xl/worksheets/sheet1.xml", "w") as stream:
                stream.write(b"<worksheet><sheetData><row><c t='str'><v>Number</v></c></row>")
                for _ in range(1023):
                    stream.write(b"<row><c><v>7</v></c></row>" * 1025)
                stream.write(b"</sheetData></worksheet>")
        self.assertEqual(self.rows_read(path), 1 + 1023 * 1025)

    def rows_read(self, path):
        """The reading layer alone: the whole run would only take longer."""
        code = (
            "import sys, logging\nfrom pathlib import Path\nfrom ade_engine.documents import collect_documents\n"
            "from ade_engine.reading import read_sheets\n"
            "documents = collect_documents([Path(sys.argv[1])], None, {})\n"
            "print([len(sheet.rows) for sheet in read_sheets(documents, [], logging.getLogger())][0])"
        )
        command = [self.command()[0], "-c", code, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(done.stdout)

    def test_one_part_behind_many_sheets(self):
        """Each sheet is within the limits; what counts is how much is unpacked in all."""
        from ade_engine import limits
        from ade_engine.documents import collect_documents
        from ade_engine.xlsx.package import InputTooLarge, open_package

        parts = {"part.xml": b"x" * (60 * MEBIBYTE)}
        path = wb.write(self.folder / "a.xlsx", parts)
        [document] = collect_documents([path], None, {})
        with open_package(document) as package, self.assertRaises(InputTooLarge):
            for _ in range(limits.MAX_UNPACKED_BYTES // (60 * MEBIBYTE) + 1):
                with package.open("part.xml"):
                    pass
