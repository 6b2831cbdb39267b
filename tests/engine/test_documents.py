"""Documents: their names, what they are in spite of them, and runs that find nothing."""

import json
import zipfile

import workbooks as wb
from support import ForkingTest

CSV = "Member ID,Email\nM-1,a@example.com\n"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def ole(*streams):
    """The header and the directory of a file with such streams."""
    header = bytearray(512)
    header[:8] = OLE
    header[30:32] = (9).to_bytes(2, "little")
    header[48:52] = (1).to_bytes(4, "little")
    names = b"".join(name.encode("utf-16-le").ljust(128, b"\0") for name in streams)
    return bytes(header) + bytes(512) + names


class NamesTest(ForkingTest):
    def test_messages_name_the_document(self):
        path = self.write_csv(CSV + "only a note\n", "doc_01ABC.csv")
        result = self.run_engine(path, extra=("--metadata", "document_name=Members, Berlin.csv"))
        self.assertEqual(result["processed_files"], [str(path)])
        [table] = self.payloads("run.table.summary")
        self.assertEqual((table["source_file"], table["file_index"]), (str(path), 0))
        self.assertTrue(self.console()[0].startswith("Members, Berlin.csv: rows below the header"))
        self.assertFalse([line for line in self.console() if "doc_01ABC" in line])

    def test_errors_name_the_document(self):
        path = self.write_csv("<html>", "doc_01ABC.csv")
        extra = ("--metadata", "document_name=page\u202efdp.csv\nsecond line")
        message = self.fail_run(path, code="input_error", stage="extracting", extra=extra)
        self.assertEqual(message, "pagefdp.csv second line is an HTML page, not a table of values")
        error = self.events()[-1]["payload"]["error"]
        self.assertEqual(error["details"], {"document": "pagefdp.csv second line", "file_index": 0})
        self.assertEqual(self.events()[-2]["payload"]["details"]["stage"], "extracting")

    def folder_of(self, **files):
        inputs = self.folder / "input"
        inputs.mkdir()
        for name, text in files.items():
            (inputs / f"{name}.csv").write_text(text)
        return inputs

    def test_two_documents_of_one_name(self):
        inputs = self.folder_of(doc_1=CSV, doc_2=CSV)
        names = json.dumps({"doc_1.csv": "members.csv", "doc_2.csv": "members.csv"})
        extra = ("--input-dir", inputs, "--metadata", f"document_names={names}")
        self.assertEqual(self.run_engine(extra=extra)["status"], "succeeded")
        tables = self.payloads("run.table.summary")
        self.assertEqual([t["file_index"] for t in tables], [0, 1])
        self.assertEqual(
            [t["source_file"] for t in tables],
            [str(inputs / "doc_1.csv"), str(inputs / "doc_2.csv")],
        )
        self.assertEqual(
            [i["code"] for i in self.payloads("run.validation.issue")], ["duplicate_member_id"]
        )
        self.assertTrue(self.console()[0].startswith("members.csv (1 of 2) has no column"))
        self.assertTrue(self.console()[1].startswith("members.csv (2 of 2) has no column"))

    def test_names_that_are_not_given(self):
        inputs = self.folder_of(doc_1=CSV + "note\n", doc_2=CSV.replace("M-1", "M-2") + "note\n")
        extra = ("--input-dir", inputs, "--metadata", 'document_names={"doc_1.csv": "a.csv"}')
        self.run_engine(extra=extra)
        left_out = [line for line in self.console() if "left out" in line]
        self.assertEqual([line.partition(":")[0] for line in left_out], ["a.csv", "doc_2.csv"])

    def test_names_that_are_no_json(self):
        inputs = self.folder_of(doc_1=CSV)
        for text in ("{", "[]", '{"doc_1.csv": 1}'):
            extra = ("--input-dir", inputs, "--metadata", f"document_names={text}")
            self.fail_run(code="input_error", stage="initialization", extra=extra)


class KindsTest(ForkingTest):
    def kind(self, content, name):
        path = self.folder / name
        path.write_bytes(content)
        return self.fail_run(path, code="input_error", stage="extracting")

    def archive(self, **parts):
        path = wb.write(self.folder / "archive.zip", parts)
        return path.read_bytes()

    def test_binary_files_by_any_name(self):
        opendocument = self.archive(mimetype="application/vnd.oasis.opendocument.spreadsheet")
        binary = self.archive(
            **{
                "_rels/.rels": wb.relationships(("officeDocument", "xl/workbook.bin")),
                "xl/workbook.bin": "x",
            }
        )
        cases = {
            "an old Excel workbook (.xls)": ole("Root Entry", "Workbook"),
            "password-protected": ole("Root Entry", "EncryptionInfo", "EncryptedPackage"),
            "a Word document": self.archive(**{"_rels/.rels": wb.relationships(("officeDocument", "word/document.xml")), "word/document.xml": "x"}),
            "OpenDocument": opendocument,
            ".xlsb": binary,
            "a zip archive": self.archive(**{"members.csv": CSV}),
            "a PDF": b"%PDF-1.4\n",
            "a PNG": b"\x89PNG\r\n\x1a\n",
            "a gzip": b"\x1f\x8b\x08\x00",
        }  # fmt: skip
        for words, content in cases.items():
            for name in ("a.csv", "a.xlsx"):
                with self.subTest(words=words, name=name):
                    self.assertIn(words, self.kind(content, name))

    def test_a_truncated_workbook(self):
        content = wb.write(
            self.folder / "b.xlsx", wb.parts_of({"S": wb.worksheet(wb.roster())})
        ).read_bytes()
        self.assertIn("damaged", self.kind(content[: len(content) // 2], "a.xlsx"))

    def test_an_encrypted_archive(self):
        path = wb.write(self.folder / "b.xlsx", wb.parts_of({"S": wb.worksheet(wb.roster())}))
        content = path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                content = content.replace(
                    b"PK\x01\x02" + bytes([info.create_version, 3, 20, 0, 0, 0]),
                    b"PK\x01\x02" + bytes([info.create_version, 3, 20, 0, 1, 0]),
                )
        self.assertIn("password", self.kind(content, "a.xlsx"))

    def test_the_content_decides(self):
        path = wb.write(self.folder / "roster.csv", wb.parts_of({"S": wb.worksheet(wb.roster())}))
        self.assertEqual(self.run_engine(path)["status"], "succeeded")
        self.assertIn("is a workbook in spite of its name", self.console()[0])
        self.assertEqual(self.run_engine(self.write_csv(CSV, "roster.xlsx"))["status"], "succeeded")
        self.assertIn("is text with delimiters in spite of its name", self.console()[-2])


class NothingFoundTest(ForkingTest):
    def nothing(self, path):
        return self.fail_run(path, code="no_tables_found", stage="extracting")

    def test_no_header(self):
        path = self.write_csv("just,some\nwords,here\n")
        self.assertIn("input.csv looks like the header", self.nothing(path))
        [phase] = self.payloads("run.phase.completed")
        self.assertEqual((phase["phase"], phase["status"]), ("extracting", "failed"))
        error = self.events()[-1]["payload"]["error"]
        sheets = [{"document": str(path), "file_index": 0, "sheet": None, "filled_rows": 2}]
        self.assertEqual(error["details"], {"sheets": sheets})
        self.assertFalse((self.folder / "output").exists())
        self.assertEqual(self.process.stderr, "")

    def test_an_empty_workbook(self):
        path = wb.write(self.folder / "empty.xlsx", wb.parts_of({"S": wb.worksheet("")}))
        self.assertIn("no filled cells", self.nothing(path))

    def test_a_header_above_rows_that_are_no_data(self):
        self.assertIn(
            "none of the 2 rows",
            self.nothing(self.write_csv("Member ID,Email\nnote\nother note\n")),
        )

    def test_a_header_alone_is_an_empty_table(self):
        self.assertEqual(
            self.run_engine(self.write_csv("Member ID,Email\n"))["status"], "succeeded"
        )
        self.assertTrue(any("no rows below the header" in line for line in self.console()))

    def test_the_manifest_allows_it(self):
        self.edit_manifest(lambda m: m.update(reader={"allow_no_tables": True}))
        self.assertEqual(self.run_engine(self.write_csv("just,words\n"))["status"], "succeeded")
        self.assertEqual(self.output()[0][0], "member_id")

    def test_one_document_of_two(self):
        first, second = self.write_csv(CSV), self.write_csv("just,words\n", "other.csv")
        self.assertEqual(self.run_engine(first, second)["status"], "succeeded")
        lines = [(p["level"], p["message"]) for p in self.payloads("console.line")]
        self.assertIn(("error", f"{second}: no table found in this document"), lines)

    def test_the_manifest_flag_is_checked(self):
        self.edit_manifest(lambda m: m.update(reader={"allow_no_tables": "yes"}))
        message = self.fail_run(self.write_csv(CSV), code="config_error", stage="load_config")
        self.assertIn("reader.allow_no_tables must be of type bool", message)
