"""Workbooks as other programs write them: every value is read, or its loss is told."""

import zipfile
from datetime import datetime, time, timedelta

import workbooks as wb
from support import FIELDS, ForkingTest


class WorkbookTest(ForkingTest):
    def read(self, *sheets, name="input.xlsx", extra=(), **options):
        """Runs the engine on worksheets of that data; returns the output's rows without the header."""
        named = {f"S{index}": wb.worksheet(data) for index, data in enumerate(sheets, start=1)}
        return self.read_parts(wb.parts_of(named, **options), name, extra)

    def read_parts(self, parts, name="input.xlsx", extra=()):
        result = self.run_engine(wb.write(self.folder / name, parts), extra=extra)
        self.assertEqual(result["status"], "succeeded", result["error"])
        self.header, *rows = self.output()
        return rows

    def fail_parts(self, parts, code="input_error", extra=()):
        path = wb.write(self.folder / "input.xlsx", parts)
        return self.fail_run(path, code=code, stage="extracting", extra=extra)

    def issues(self):
        return [
            (i["severity"], i["code"], i["field"], i["row"])
            for i in self.payloads("run.validation.issue")
        ]

    def assert_told(self, *words):
        told = [
            p["message"] for p in self.payloads("console.line") if p["level"] in ("warn", "error")
        ]
        self.assertTrue(any(all(word in line for word in words) for line in told), told)

    def assert_roster(self, rows, count=3):
        self.assertEqual([row[0] for row in rows], [f"M-{1000 + n}" for n in range(1, count + 1)])
        self.assertEqual(rows[0][3:6], ("ann1@example.com", datetime(2024, 1, 2), 1.5))


class PackageTest(WorkbookTest):
    def test_strict_namespaces(self):
        parts = wb.parts_of({"S": wb.worksheet(wb.roster(), wb.STRICT)}, strict=True)
        self.assert_roster(self.read_parts(parts))

    def test_prefixed_elements(self):
        data = wb.worksheet(wb.roster()).replace("<", "<x:").replace("<x:/", "</x:")
        data = data.replace("<x:?xml", "<?xml").replace("xmlns=", "xmlns:x=")
        self.assert_roster(self.read_parts(wb.parts_of({"S": data})))

    def test_parts_without_values_do_not_decide(self):
        parts = wb.parts_of(
            {"S": wb.worksheet(wb.roster(), after="<dataValidations count='x'><bad/>")}
        )
        faulty = "<?xml version='1.0'?><unclosed <<< &nope;"
        others = ("docProps/core.xml", "docProps/app.xml", "xl/theme/theme1.xml", "xl/comments1.xml",
                  "xl/drawings/drawing1.xml", "xl/calcChain.xml", "xl/externalLinks/externalLink1.xml",
                  "xl/pivotCache/pivotCacheDefinition1.xml", "xl/worksheets/_rels/sheet1.xml.rels")  # fmt: skip
        parts.update(dict.fromkeys(others, faulty))
        parts["xl/workbook.xml"] = parts["xl/workbook.xml"].replace(
            "</sheets>",
            "</sheets><definedNames><definedName name='x'>#REF!$A</definedName></definedNames>",
        )
        self.assert_roster(self.read_parts(parts))

    def test_faulty_fonts_and_fills_do_not_decide(self):
        faults = (
            "<fonts><font><family val='34'/><sz val='big'/></font></fonts><fills><fill><patternFill>"
            "<fgColor rgb='Red'/></patternFill></fill></fills><dxfs><dxf><font><b val='maybe'/></font></dxf></dxfs>"
        )
        parts = wb.parts_of({"S": wb.worksheet(wb.roster())})
        parts["xl/styles.xml"] = wb.styles(faults)
        self.assert_roster(self.read_parts(parts))

    def test_damaged_styles_are_told(self):
        parts = wb.parts_of({"S": wb.worksheet(wb.roster())})
        parts["xl/styles.xml"] = "<styleSheet><fonts>"
        rows = self.read_parts(parts)
        self.assertEqual(rows[0][4], datetime(2024, 1, 2))  # the template knows day numbers
        self.assert_told("styles cannot be read")

    def test_damaged_relationships_leave_the_customary_places(self):
        parts = wb.parts_of({"S": wb.worksheet(wb.roster())}, shared=["x"])
        for name in ("_rels/.rels", "xl/_rels/workbook.xml.rels"):
            parts[name] = "<Relationships"
        self.assert_roster(self.read_parts(parts))

    def test_absolute_targets_and_names_of_windows(self):
        parts = wb.parts_of({"S": wb.worksheet(wb.roster())})
        parts["xl/_rels/workbook.xml.rels"] = wb.relationships(
            ("worksheet", "/xl/worksheets/Sheet1.xml"), ("styles", "styles.xml")
        )
        parts = {name.replace("/", "\\"): content for name, content in parts.items()}
        self.assert_roster(self.read_parts(parts))

    def test_empty_line_before_the_declaration(self):
        self.assert_roster(self.read_parts(wb.parts_of({"S": "\r\n" + wb.worksheet(wb.roster())})))

    def test_utf_16_parts(self):
        data = wb.worksheet(wb.roster()).replace("UTF-8", "UTF-16").encode("utf-16")
        self.assert_roster(self.read_parts(wb.parts_of({"S": data})))

    def test_damage_before_the_data(self):
        for data in (
            wb.worksheet(wb.roster(), before="<sheetViews><bad"),
            "text\n" + wb.worksheet(wb.roster()),
        ):
            self.assert_roster(self.read_parts(wb.parts_of({"S": data})))

    def test_missing_sheet_part(self):
        parts = wb.parts_of({"S": wb.worksheet(wb.roster())})
        del parts["xl/worksheets/sheet1.xml"]
        self.assertIn("is missing", self.fail_parts(parts))

    def test_checksum_of_a_sheet(self):
        path = wb.write(
            self.folder / "a.xlsx",
            wb.parts_of({"S": wb.worksheet(wb.roster())}),
            zipfile.ZIP_STORED,
        )
        path.write_bytes(path.read_bytes().replace(b"ann2@", b"eve2@"))
        self.assertIn("CRC", self.fail_run(path, code="input_error", stage="extracting"))


class SheetsTest(WorkbookTest):
    def test_only_hidden_sheets(self):
        for state in ("hidden", "veryHidden"):
            parts = wb.parts_of({("Archive", state): wb.worksheet(wb.roster())})
            self.assertIn("only hidden sheets (Archive)", self.fail_parts(parts))

    def test_content_in_hidden_sheets_alone(self):
        parts = wb.parts_of({("Archive", "hidden"): wb.worksheet(wb.roster()), "S": wb.worksheet("")})
        reason = self.fail_parts(parts, code="no_tables_found")
        self.assertIn("no filled cells in the sheets that were read; hidden sheets", reason)

    def test_hidden_sheets_are_named(self):
        sheets = {
            ("Archive", "veryHidden"): wb.worksheet(wb.roster()),
            "S": wb.worksheet(wb.roster()),
        }
        self.read_parts(wb.parts_of(sheets))
        [table] = self.payloads("run.table.summary")
        self.assertEqual((table["source_sheet"], table["sheet_index"]), ("S", 1))
        self.assertTrue(any("not read: Archive" in line for line in self.console()))

    def test_charts_dialogs_and_macros_are_no_worksheets(self):
        kinds = ["chartsheet", "dialogsheet", "xlMacrosheet", "worksheet"]
        sheets = dict.fromkeys(["Chart", "Dialog", "Macro", "S"], wb.worksheet(wb.roster()))
        parts = wb.parts_of(sheets, kinds=kinds)
        self.assert_roster(self.read_parts(parts))
        self.assertEqual(self.payloads("run.table.summary")[0]["sheet_index"], 0)
        message = self.fail_parts(parts, extra=("--input-sheet", "Chart"))
        self.assertIn("Chart is a chart sheet", message)

    def test_a_listed_sheet_without_data(self):
        parts = wb.parts_of({"S": wb.worksheet(wb.roster())})
        parts["xl/workbook.xml"] = parts["xl/workbook.xml"].replace(
            "</sheets>", '<sheet name="Module" sheetId="2" r:id=""/></sheets>'
        )
        self.assert_roster(self.read_parts(parts))
        self.assert_told("no data of these sheets: Module")

    def test_only_a_chart(self):
        parts = wb.parts_of({"Chart": "<chartsheet/>"}, kinds=["chartsheet"])
        self.assertIn("no worksheet", self.fail_parts(parts))

    def test_wrong_and_missing_dimension(self):
        for before in (
            "",
            "<dimension ref='A1'/>",
            "<dimension ref='A1:XFD1048576'/>",
            "<dimension ref='?'/>",
        ):
            parts = wb.parts_of({"S": wb.worksheet(wb.roster(), before=before)})
            self.assert_roster(self.read_parts(parts))

    def test_references_place_cells_and_their_absence_continues(self):
        data = (
            wb.row("Member ID", "Email", "Amount")
            + '<row r="5"><c r="C5"><v>7</v></c><c r="A5" t="str"><v>M-1</v></c><c t="str"><v>a@example.com</v></c></row>'
            + wb.row("M-2", "b@example.com")
        )
        rows = self.read(data)
        self.assertEqual(
            [(r[0], r[3], r[5]) for r in rows],
            [("M-1", "a@example.com", 7), ("M-2", "b@example.com", None)],
        )
        [table] = self.payloads("run.table.summary")
        self.assertEqual(
            table["metadata"], {"header_row": 1, "first_data_row": 5, "last_data_row": 6}
        )

    def test_rows_out_of_order_and_cells_given_twice(self):
        data = (
            wb.row("Member ID", "Email")
            + '<row r="3"><c t="str"><v>M-3</v></c><c t="str"><v>c@example.com</v></c></row>'
            + '<row r="2"><c r="A2" t="str"><v>M-2</v></c></row><row r="2"><c r="B2" t="str"><v>b@example.com</v></c></row>'
            + '<row r="4"><c r="A4" t="str"><v>x</v></c><c r="A4" t="str"><v>M-4</v></c><c r="B4" t="str"><v>d@example.com</v></c></row>'
        )
        rows = self.read(data)
        self.assertEqual(
            [(r[0], r[3]) for r in rows],
            [(f"M-{n}", f"{c}@example.com") for n, c in ((2, "b"), (3, "c"), (4, "d"))],
        )
        self.assert_told("1 cells are given twice", "row 4")

    def test_merged_rows_are_told(self):
        data = wb.worksheet(
            wb.roster(),
            after="<mergeCells><mergeCell ref='B2:B4'/><mergeCell ref='A1:B1'/></mergeCells>",
        )
        self.read_parts(wb.parts_of({"S": data}))
        self.assert_told("1 merged ranges span several rows", "B2:B4")

    def test_repeated_header_is_told(self):
        self.read(
            wb.row("Member ID", "Email", "EMAIL") + wb.row("M-1", "a@example.com", "b@example.com")
        )
        self.assert_told('1 more columns have the header "Email"', "not part of email: C")


class ValuesTest(WorkbookTest):
    def test_shared_strings_rich_text_and_phonetic_hints(self):
        shared = [
            "Member ID", "Email",
            "<si><r><t>M-</t></r><r><rPr><b/></rPr><t>1</t></r><rPh sb='0' eb='1'><t>em one</t></rPh></si>",
            "<si><t>a@example.com</t><phoneticPr fontId='1'/></si>",
        ]  # fmt: skip
        data = "".join(
            f'<row><c t="s"><v>{a}</v></c><c t="s"><v>{b}</v></c></row>'
            for a, b in ((0, 1), (2, 3))
        )
        [row] = self.read(data, shared=shared)
        self.assertEqual((row[0], row[3]), ("M-1", "a@example.com"))

    def test_rich_inline_text(self):
        cell = '<c t="inlineStr"><is><r><t>M-</t></r><r><t>1</t></r><rPh sb="0" eb="1"><t>no</t></rPh></is></c>'
        [row] = self.read(wb.row("Member ID", "Email") + wb.row(cell, "a@example.com"))
        self.assertEqual(row[0], "M-1")

    def test_a_cell_with_a_value_and_inline_text(self):
        both = "<v>0</v><is><t>M-1</t></is>", "<is><t>M-1</t></is><v>0</v>"
        for content in both:
            data = wb.row("Member ID", "Email") + wb.row(
                f'<c t="inlineStr">{content}</c>', "a@example.com"
            )
            self.assertEqual(self.read(data)[0][0], "M-1")
            data = wb.row("Member ID", "Email") + wb.row(
                f'<c t="str">{content}</c>', "a@example.com"
            )
            self.assertEqual(self.read(data)[0][0], "0")

    def test_an_empty_reference_to_a_string_is_blank(self):
        [row] = self.read(
            wb.row("Member ID", "Email", "Note")
            + wb.row("M-1", "a@example.com", '<c t="s"><v></v></c>')
        )
        self.assertIsNone(row[6])
        self.assertFalse([line for line in self.console() if "missing from the file" in line])

    def test_strings_without_their_part(self):
        cell = '<c t="s"><v>7</v></c>'
        rows = self.read(wb.row("Member ID", "Email", "Note") + wb.row("M-1", cell, cell))
        self.assertEqual(rows, [("M-1", None, None, None, None, None, None)])
        self.assert_told("the texts of 2 cells are missing", "B2, C2")
        self.assertEqual(self.issues(), [("error", "missing_text", "email", 2)])

    def test_damaged_shared_strings(self):
        parts = wb.parts_of({"S": wb.worksheet(wb.roster())}, shared=["<si><t>a"])
        self.assertIn("XML is damaged", self.fail_parts(parts))

    def test_formulas_without_results(self):
        formula = "<c><f>1+1</f></c>"
        empty = "<c><f>1+1</f><v></v></c>"
        data = (
            wb.row("Member ID", "Email", "Amount")
            + wb.row("M-1", "a@example.com", formula)
            + wb.row("M-2", "b@example.com", empty)
            + wb.row("M-3", "c@example.com", '<c t="str"><f>A1</f></c>')
        )
        rows = self.read(data)
        self.assertEqual([row[5] for row in rows], [None] * 3)
        self.assert_told("3 formulas have no stored result", "C2, C3, C4")
        expected = [("warning", "formula_without_value", "amount", row) for row in (2, 3, 4)]
        self.assertEqual(self.issues(), expected)

    def test_formulas_with_results(self):
        cells = ('<c t="str"><f>"M-"&amp;1</f><v>M-1</v></c>', '<c t="str"><f>x</f><v>a@example.com</v></c>', "<c><f t='shared' si='0'/><v>7</v></c>",
                 '<c t="str"><f>""</f><v></v></c>')  # fmt: skip
        [row] = self.read(wb.row("Member ID", "Email", "Amount", "Note") + wb.row(*cells))
        self.assertEqual((row[0], row[3], row[5:]), ("M-1", "a@example.com", (7, None)))
        self.assertEqual(self.issues(), [])
        self.assertFalse([line for line in self.console() if "formulas" in line])

    def test_error_cells_of_every_field(self):
        errors = [
            wb.error(text) for text in ("#N/A", "#REF!", "#DIV/0!", "#VALUE!", "#NAME?", "#NUM!")
        ]
        note = wb.row(*wb.HEADER, "Note", "Code")
        rows = self.read(note + wb.person(1) + wb.row(*errors, "kept", wb.error("#NULL!")))
        self.assertEqual(rows[1][:7], (*(None,) * 6, "kept"))
        self.assertEqual(self.issues(), [("error", "error_value", field, 3) for field in FIELDS])
        self.assertTrue(
            any("#DIV/0!" in i["message"] for i in self.payloads("run.validation.issue"))
        )
        self.assert_told("1 error values", "columns of no field", "H3")

    def test_escapes(self):
        data = (
            wb.row("Member ID", "Email", "Note")
            + wb.row("M-1", "a@example.com", "one_x000D__x000A_two")
            + wb.row("M-2", "b_x0040_example.com", "_x005F_x000D_")
            + wb.row("M-3", "c@example.com", "_xD83D__xDE00_ _xD83D_")
        )
        rows = self.read(data)
        self.assertEqual(
            [row[6] for row in rows], ["one\ntwo", "_x005F_x000D_", "\U0001f600 \ufffd"]
        )
        self.assertEqual(rows[1][3], "b@example.com")

    def test_booleans(self):
        cells = ['<c t="b"><v>1</v></c>', '<c t="b"><v>0</v></c>', '<c t="b"><v>true</v></c>']
        data = wb.row("Member ID", "Email", "Note") + "".join(
            wb.row(f"M-{n}", f"a{n}@example.com", cell) for n, cell in enumerate(cells)
        )
        self.assertEqual([row[6] for row in self.read(data)], [True, False, True])

    def test_numbers_are_kept_exactly(self):
        data = wb.row("Member ID", "Email", "Note") + wb.row(
            wb.number("12345678901234567890123"), "a@example.com", wb.number("98765432109876543210")
        )
        [row] = self.read(data)
        self.assertEqual((row[0], row[6]), ("12345678901234567890123", "98765432109876543210"))

    def test_a_cell_of_more_than_a_workbook_holds_is_told(self):
        data = wb.row("Member ID", "Email", "Note") + wb.row("M-1", "a@example.com", "x" * 40_000)
        [row] = self.read(data)
        self.assertEqual(len(row[6]), 32_767)
        self.assert_told("32,767 characters", ": 2")


class InvisibleTest(WorkbookTest):
    def test_invisible_characters_are_removed_and_told(self):
        data = (
            wb.row("Member\u200b ID", "\ufeffEmail", "First\u00ad Name", "Last Name")
            + wb.row(
                "M-1001\u200b",
                "\u202aann@\u2060example.com\u202c",
                "A\u00adnn\u200e",
                "\u00a0Lee\u00a0",
            )
            + wb.row("M-1001", "bob@example.com\u200d", "\u200b", "Lee")
        )
        rows = self.read(data)
        self.assertEqual(
            [row[:4] for row in rows],
            [
                ("M-1001", "Ann", "Lee", "ann@example.com"),
                ("M-1001", None, "Lee", "bob@example.com"),
            ],
        )
        self.assertEqual(self.issues(), [("error", "duplicate_member_id", "member_id", 3)])
        self.assert_told("invisible characters were removed from 8 cells", "A1, B1, C1, A2")

    def test_rows_of_invisible_characters_are_blank(self):
        blank = wb.row("\u200b", "\u00a0\ufeff", "\u2800", "\u3164")
        self.assert_roster(self.read(wb.roster() + blank))
        self.assertFalse([line for line in self.console() if "left out" in line])

    def test_characters_that_mean_something_stay(self):
        names = [
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "\U0001f469\u200d\U0001f680",
            "Zo\u00eb",
            "O\u2019Neil",
        ]
        data = wb.row(*wb.HEADER) + "".join(
            wb.person(n, first=name) for n, name in enumerate(names)
        )
        self.assertEqual([row[1] for row in self.read(data)], names)


class FormatsTest(WorkbookTest):
    def test_formats_that_add_to_an_id(self):
        ids = [
            (123, 1, "00123"),
            (42, 2, "M-0042"),
            (123456, 1, "123456"),
            (123456789, 8, "123-45-6789"),
        ]
        data = wb.row("Member ID", "Email", "Code") + "".join(
            wb.row(wb.number(n, style), f"a{n}@example.com", wb.number(n, style))
            for n, style, _ in ids
        )
        rows = self.read(data)
        self.assertEqual([row[0] for row in rows], [shown for *_, shown in ids])
        self.assertEqual([row[6] for row in rows], [shown for *_, shown in ids])

    def test_amounts_stay_numbers(self):
        data = wb.row("Member ID", "Email", "Amount", "Share") + wb.row(
            "M-1", "a@example.com", wb.number(12.5, 7), wb.number(0.05, 6)
        )
        [row] = self.read(data)
        self.assertEqual(row[5:], (12.5, 0.05))

    def test_an_unmapped_number_keeps_its_format(self):
        from openpyxl import load_workbook

        self.read(
            wb.row("Member ID", "Email", "Price")
            + wb.row("M-1", "a@example.com", wb.number(12.5, 7))
        )
        cell = load_workbook(self.folder / "output" / "normalized.xlsx")["Normalized"]["G2"]
        self.assertEqual((cell.value, cell.number_format), (12.5, '0.00" EUR"'))

    def test_the_epoch_of_the_workbook(self):
        cells = [wb.number(43830, 3), wb.number(43830), wb.number("43830.0")]
        data = wb.row("Member ID", "Email", "Start Date") + "".join(
            wb.row(f"M-{n}", f"a{n}@example.com", cell) for n, cell in enumerate(cells)
        )
        for value in ("1", "true"):
            rows = self.read(data, properties=f'<workbookPr date1904="{value}"/>')
            self.assertEqual([row[4] for row in rows], [datetime(2024, 1, 1)] * 3)
        later = wb.parts_of({"S": wb.worksheet(data)}, properties='<workbookPr date1904="1"/>')
        later["xl/workbook.xml"] = later["xl/workbook.xml"].replace(
            "</sheets>", "</sheets><extLst><ext><x14:workbookPr xmlns:x14='urn:x'/></ext></extLst>"
        )
        self.assertEqual([row[4] for row in self.read_parts(later)], [datetime(2024, 1, 1)] * 3)
        rows = self.read(data, properties='<workbookPr date1904="0"/>')
        self.assertEqual([row[4] for row in rows], [datetime(2019, 12, 31)] * 3)

    def test_times_and_durations(self):
        cells = [wb.number(0.75, 4), wb.number(1.5, 5), wb.number(43830.25, 3)]
        data = wb.row("Member ID", "Email", "A", "B", "C") + wb.row("M-1", "a@example.com", *cells)
        [row] = self.read(data)
        self.assertEqual(row[6:], (time(18), timedelta(hours=36), datetime(2019, 12, 31, 6)))
        [row] = self.read(data, properties='<workbookPr date1904="1"/>')
        self.assertEqual(row[6:], (time(18), timedelta(hours=36), datetime(2024, 1, 1, 6)))

    def test_numbers_that_are_no_dates_are_told(self):
        data = (
            wb.row("Member ID", "Email", "Start Date")
            + wb.row("M-1", "a@example.com", wb.number(-5, 3))
            + wb.row("M-2", "b@example.com", wb.number(3_000_000, 3))
        )
        self.read(data)
        self.assert_told("2 numbers with a date format stand for no date", "C2, C3")
        self.assertEqual([i[1] for i in self.issues()], ["bad_date", "bad_date"])
