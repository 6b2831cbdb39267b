"""Delimited text as it is found: encodings, delimiters, quotation marks, uneven rows."""

import unittest

from support import ForkingTest

ROWS = "Member ID,Email,Note\nM-1,a@example.com,caf\u00e9\nM-2,b@example.com,Zo\u00eb\n"


class TextTest(ForkingTest):
    def read(self, content, name="input.csv"):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        result = self.run_engine(path)
        self.assertEqual(result["status"], "succeeded", result["error"])
        _, *rows = self.output()
        return rows

    def refuse(self, content, name="input.csv", code="input_error"):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self.fail_run(path, code=code, stage="extracting")

    def notes(self, content, name="input.csv"):
        """Member, email and the first column of no field."""
        return [(row[0], row[3], row[6]) for row in self.read(content, name)]

    def assert_told(self, *words):
        self.assertTrue(
            any(all(word in line for word in words) for line in self.console()), self.console()
        )


class EncodingTest(TextTest):
    expected = [("M-1", "a@example.com", "caf\u00e9"), ("M-2", "b@example.com", "Zo\u00eb")]

    def test_unicode_with_and_without_mark(self):
        for encoding in (
            "utf-8",
            "utf-8-sig",
            "utf-16",
            "utf-16-le",
            "utf-16-be",
            "utf-32",
            "utf-32-le",
            "utf-32-be",
        ):
            with self.subTest(encoding):
                self.assertEqual(self.notes(ROWS.encode(encoding)), self.expected)
                self.assertFalse([line for line in self.console() if "UTF" in line])

    def test_utf_16_of_another_alphabet_without_mark(self):
        text = ROWS.replace("caf\u00e9", "\u041c\u043e\u0441\u043a\u0432\u0430")
        self.assertEqual(
            self.notes(text.encode("utf-16-le"))[0][2], "\u041c\u043e\u0441\u043a\u0432\u0430"
        )

    def test_windows_1252_is_read_and_told(self):
        text = ROWS.replace("Zo\u00eb", "\u20ac 5 \u201cnet\u201d")
        rows = self.notes(text.encode("cp1252"))
        self.assertEqual([row[2] for row in rows], ["caf\u00e9", "\u20ac 5 \u201cnet\u201d"])
        self.assert_told("not valid UTF-8: 4 bytes, the first in line 2", "Windows-1252")

    def test_latin_1_address(self):
        [row] = self.read("Member ID,Email\nM-1,jos\u00e9@example.org\n".encode("latin-1"))
        self.assertEqual(row[3], "jos\u00e9@example.org")
        self.assert_told("not valid UTF-8", "line 2")

    def test_one_bad_byte_does_not_spoil_the_rest(self):
        content = ROWS.encode().replace(b"M-2", b"M-2\x92")
        self.assertEqual(self.notes(content)[0][2], "caf\u00e9")
        self.assert_told("1 bytes, the first in line 3")

    def test_a_bad_byte_far_into_a_file(self):
        filler = "".join(f"M-{n},a{n}@example.com,caf\u00e9\n" for n in range(10, 60_000))
        rows = self.read((ROWS + filler).encode() + b"M-9,z@example.com,\xe9\n")
        self.assertEqual(rows[-1][6], "\u00e9")
        self.assert_told("1 bytes, the first in line 59994")

    def test_other_encodings_are_refused(self):
        for encoding, word in (
            ("cp1251", "\u041c\u043e\u0441\u043a\u0432\u0430"),
            ("shift-jis", "\u30c6\u30b9\u30c8\u3002"),
            ("gbk", "\u4e2d\u6587\u5b57"),
        ):
            with self.subTest(encoding):
                message = self.refuse(ROWS.replace("caf\u00e9", word).encode(encoding, "replace"))
                self.assertIn("neither UTF-8 nor Windows-1252", message)

    def test_damaged_utf_16(self):
        self.assertIn("damaged", self.refuse(ROWS.encode("utf-16")[:-1]))

    def test_nul_bytes(self):
        content = (
            ROWS.encode().replace(b"M-2", b"M-\x002").replace(b"b@", b"\x00b@") + b"\x00" * 500
        )
        self.assertEqual(self.notes(content), self.expected)
        self.assert_told("invisible characters were removed")

    def test_invisible_characters(self):
        text = "\ufeffMember\u200b ID,Email\n\u200bM-1\u00ad,\u202aann@example.com\u202c\n\u200b,\u00a0\nM-1,b@example.com\n"
        rows = self.read(text)
        self.assertEqual(
            [(r[0], r[3]) for r in rows], [("M-1", "ann@example.com"), ("M-1", "b@example.com")]
        )
        self.assertEqual(
            [i["code"] for i in self.payloads("run.validation.issue")], ["duplicate_member_id"]
        )

    def test_binary_files(self):
        self.assertIn("binary", self.refuse(b"\x01\x02\x03ab" * 50))


class DelimiterTest(TextTest):
    expected = [("M-1", "a@example.com", "x"), ("M-2", "b@example.com", "y")]

    def test_each_delimiter(self):
        for delimiter in ",;\t|":
            with self.subTest(delimiter):
                text = "Member ID,Email,Note\nM-1,a@example.com,x\nM-2,b@example.com,y\n"
                self.assertEqual(self.notes(text.replace(",", delimiter)), self.expected)

    def test_consistent_rows_count_more_than_frequent_characters(self):
        prose = "Main St. 1, 12345 Town, Region, County"
        for delimiter in ";\t|":
            for header in ("Note", "Street, Town, Region, County"):
                with self.subTest(delimiter=delimiter, header=header):
                    lines = [
                        ["Member ID", "Email", header],
                        ["M-1", "a@example.com", prose],
                        ["M-2", "b@example.com", prose],
                    ]
                    text = "\n".join(map(delimiter.join, lines))
                    self.assertEqual(
                        self.notes(text),
                        [("M-1", "a@example.com", prose), ("M-2", "b@example.com", prose)],
                    )

    def test_decimal_commas(self):
        rows = self.read(
            "Member ID;Email;Amount\nM-1;a@example.com;1,5\nM-2;b@example.com;12,25\nM-3;c@example.com;1.234,50\n"
        )
        self.assertEqual([row[5] for row in rows], [1.5, 12.25, 1234.5])

    def test_semicolons_inside_quoted_text(self):
        text = (
            'Member ID,Email,Note\nM-1,a@example.com,"a;b;c;d;e"\nM-2,b@example.com,"a;b;c;d;e"\n'
        )
        self.assertEqual(self.notes(text)[0], ("M-1", "a@example.com", "a;b;c;d;e"))

    def test_a_semicolon_in_one_value_of_many_is_no_delimiter(self):
        path = self.write_csv("Member ID\n" + "M-1\n" * 5 + "M-2; see M-1\n")
        self.edit_manifest(lambda m: m["columns"]["fields"]["email"].update(required=False))
        self.write_script("row_detectors/data.py", "")
        self.write_script(
            "row_detectors/header.py",
            "def detect_x(*, row_index, **_):\n    return {'scores': {'header': row_index == 1, 'data': row_index > 1}}\n",
        )
        self.run_engine(path)
        self.assertEqual(self.output()[-1][0], "M-2; SEE M-1")

    def test_wide_rows_of_numbers(self):
        """Commas between digits are delimiters when the header has them too; one consistent bar is none."""
        header = "Member ID,Email," + ",".join(f"Year {n}" for n in range(9))
        rows = "".join(f"M-{n}|x,a{n}@example.com,{','.join('12345678')},9\n" for n in range(5))
        self.assertEqual(len(self.read(f"{header}\n{rows}")[0]), 6 + 9)

    def test_declared_delimiter(self):
        for first, delimiter in (
            ("sep=;", ";"),
            ("SEP=|", "|"),
            ('"sep=\t"', "\t"),
            ("sep=^", "^"),
            ("sep=,", ","),
        ):
            with self.subTest(first):
                text = f"{first}\r\nMember ID,Email,Note\r\nM-1,a@example.com,x\r\nM-2,b@example.com,y\r\n"
                self.assertEqual(self.notes(text.replace(",", delimiter)), self.expected)
        text = "\ufeffsep=;\nMember ID;Email;Note\nM-1;a@example.com;a,b,c,d\nM-2;b@example.com;y\n"
        self.assertEqual(
            self.notes(text.encode("utf-16-le")),
            [("M-1", "a@example.com", "a,b,c,d"), self.expected[1]],
        )

    def test_titles_above_the_header(self):
        text = "Members, volunteers, and friends\n\nMember ID;Email;Note\nM-1;a@example.com;x\nM-2;b@example.com;y\n"
        self.assertEqual(self.notes(text), self.expected)

    def test_tab_separated_files_by_name(self):
        text = "Member ID\tEmail\tNote\nM-1\ta@example.com\tx\nM-2\tb@example.com\ty\n"
        for name in ("a.tsv", "a.txt"):
            self.assertEqual(self.notes(text, name), self.expected)


class RecordsTest(TextTest):
    def test_a_quotation_mark_that_is_never_closed(self):
        text = 'Member ID,Email,Note\nM-1,a@example.com,x\nM-2,b@example.com,"never closed\nM-3,c@example.com,z\nM-4,d@example.com,z\n'
        rows = self.notes(text)
        self.assertEqual([row[0] for row in rows], ["M-1", "M-2", "M-3", "M-4"])
        self.assertEqual(rows[1][2], '"never closed')
        self.assert_told("1 quotation marks open a value and are never closed", "in lines: 3")

    def test_open_quotation_mark_before_quoted_lines(self):
        text = 'Member ID,Email,Note\n"M-1","a@example.com","open\n"M-2","b@example.com","y"\n"M-3","c@example.com","z"\n'
        rows = self.notes(text)
        self.assertEqual([row[0] for row in rows], ["M-1", "M-2", "M-3"])
        self.assertEqual(rows[0][2], '"open')
        self.assert_told("never closed", "in lines: 2")

    def test_an_open_mark_and_a_later_one_do_not_swallow_the_records_between(self):
        lines = "".join(f"M-{n},a{n}@example.com,x\n" for n in range(2, 9))
        rows = self.notes(
            f'Member ID,Email,Note\nM-1,a@example.com,"open\n{lines}M-9,b@example.com,5"\n'
        )
        self.assertEqual([row[0] for row in rows], [f"M-{n}" for n in range(1, 10)])
        self.assert_told("never closed", "in lines: 2")

    def test_quoted_values(self):
        text = (
            'Member ID,Email,Note\nM-1,a@example.com,"two\r\nlines, and a ""word"""\nM-2, "b@example.com" , "a, b"\n'
            'M-3,c@example.com,5" pipe\nM-4,d@example.com,""\nM-5,e@example.com,"a "single" mark"\n'
        )
        notes = [row[2] for row in self.notes(text)]
        self.assertEqual(
            notes, ['two\nlines, and a "word"', "a, b", '5" pipe', None, 'a "single" mark']
        )
        self.assert_told("1 values hold single quotation marks", "in lines: 7")

    def test_lines_of_a_letter_inside_a_value(self):
        letter = "Dear Ann,\n\nplease note, as ever, the date.\nYours, Bob"
        rows = self.notes(
            f'Member ID,Email,Note\nM-1,a@example.com,"{letter}"\nM-2,b@example.com,y\n'
        )
        self.assertEqual([row[2] for row in rows], [letter, "y"])

    def test_zeros_that_an_export_protects(self):
        text = 'Member ID,Email,Note\n="00123",a@example.com,"=""007"""\n'
        self.assertEqual(self.notes(text), [("00123", "a@example.com", "007")])

    def test_line_ends_of_all_kinds(self):
        text = "Member ID,Email,Note\rM-1,a@example.com,x\r\nM-2,b@example.com,y\nM-3,c@example.com,z\u2028z"
        self.assertEqual([row[0] for row in self.read(text)], ["M-1", "M-2", "M-3"])

    def test_a_value_over_128_kibibytes(self):
        long = "x" * 140_000
        rows = self.notes(
            f'Member ID,Email,Note\nM-1,a@example.com,"{long}"\nM-2,b@example.com,y\n'
        )
        self.assertEqual((len(rows[0][2]), rows[1][0]), (32_767, "M-2"))
        self.assert_told("32,767 characters", ": 2")

    def test_a_line_beyond_all_bounds(self):
        content = b"Member ID,Email\nM-1,a@example.com\n" + b"x" * (17 * 1024 * 1024)
        self.assertIn("line 3", self.refuse(content, code="input_too_large"))

    def test_text_full_of_open_quotation_marks(self):
        content = "Member ID,Email\n" + 'M-1,"a@example.com\n' * 200
        self.assertIn("quotation marks", self.refuse(content))

    def test_uneven_rows_are_told(self):
        rows = self.read(
            "Member ID,Email,Note\nM-1,a@example.com,x,more\nM-2,b@example.com\nM-3,c@example.com,z\n"
        )
        self.assertEqual(rows[0][6:], ("x", "more"))
        self.assert_told("more or fewer values", ": 2, 3")

    def test_error_texts_of_every_field(self):
        rows = self.read("Member ID,Email,Amount\n#N/A,#REF!,#DIV/0!\nM-2,#VALUE!,7\n")
        self.assertEqual([(r[0], r[3], r[5]) for r in rows][-1], ("M-2", None, 7))
        issues = [(i["code"], i["field"], i["row"]) for i in self.payloads("run.validation.issue")]
        self.assertEqual(
            issues,
            [
                ("error_value", "member_id", 2),
                ("error_value", "email", 2),
                ("error_value", "email", 3),
                ("error_value", "amount", 2),
            ],
        )


class ForeignTest(TextTest):
    def test_what_is_no_table_is_named(self):
        xml = '<?xml version="1.0"?>\n'
        cases = {
            "HTML": ["<!DOCTYPE html><html><table><tr><td>Member ID</td></tr></table></html>", "\ufeff  <HTML>\n<body>", "<table><tr><td>Member ID,Email</td></tr></table>", "<!-- x -->\n<html>"],
            "XML": [xml + "<members><member id='1'/></members>", "<members>\n<a/></members>"],
            "Spreadsheet 2003": [xml + '<?mso-application progid="Excel.Sheet"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet">'],
            "JSON": ['{"members": [1]}', '[{"id": "M-1"}]'],
            "PDF": ["%PDF-1.7\n%abc"],
            "RTF": ["{\\rtf1 Member ID"],
            "MIME": ["MIME-Version: 1.0\nContent-Type: multipart/related\n"],
        }  # fmt: skip
        for word, contents in cases.items():
            for content in contents:
                for name in ("page.csv", "page.xlsx"):
                    with self.subTest(content=content, name=name):
                        self.assertIn(word, self.refuse(content, name))
        self.assertIn("HTML", self.refuse("<html><body>".encode("utf-16")))

    def test_nothing_in_it(self):
        self.assertIn("0 bytes", self.refuse(""))
        for content in ("\n\n", "\ufeff", " \t\r\n,,,\n", "\u200b\n", b"\x00" * 100):
            with self.subTest(content):
                self.assertIn("no filled cells", self.refuse(content, code="no_tables_found"))


if __name__ == "__main__":
    unittest.main()
