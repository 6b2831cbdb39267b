"""Reading the input files into sheets of plain values."""

import csv
import warnings
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from .errors import InputError, describe
from .tables import Sheet

STAGE = "extracting"
WORKBOOK_SUFFIXES = {".xlsx", ".xlsm"}
SUPPORTED_SUFFIXES = {".csv"} | WORKBOOK_SUFFIXES
DELIMITERS = ",;\t|"
DELIMITER_SAMPLE_LINES = 20


def collect_files(inputs: list[Path], input_dir: Path | None) -> list[Path]:
    """The files to process: those named, or all of a folder by name."""
    if input_dir is None:
        return [path.absolute() for path in inputs]
    if not input_dir.is_dir():
        raise InputError(f"input folder {input_dir} does not exist", "initialization")
    files = [path.absolute() for path in sorted(input_dir.iterdir()) if is_document(path)]
    if not files:
        raise InputError(f"input folder {input_dir} holds no files", "initialization")
    return files


def is_document(path: Path) -> bool:
    """Hidden files and the lock files of open workbooks are not documents."""
    return path.is_file() and not path.name.startswith((".", "~$"))


def read_sheets(files: list[Path], wanted: list[str]) -> Iterator[Sheet]:
    """Read sheet after sheet; ``wanted`` empty means every visible sheet."""
    for file_index, path in enumerate(files):
        if not path.is_file():
            raise InputError(f"input file {path} does not exist", STAGE)
        suffix = path.suffix.lower()
        if suffix not in SUPPORTED_SUFFIXES:
            supported = ", ".join(sorted(SUPPORTED_SUFFIXES))
            raise InputError(f"{path} has no supported file type ({supported})", STAGE)
        if suffix == ".csv":
            yield Sheet(path, None, file_index, 0, read_csv(path))
        else:
            yield from read_workbook(path, file_index, wanted)


def read_csv(path: Path) -> list[list[Any]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as lines:
            delimiter = guess_delimiter(islice(lines, DELIMITER_SAMPLE_LINES))
            lines.seek(0)
            return clean_rows(csv.reader(lines, delimiter=delimiter))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not encoded as UTF-8", STAGE) from error
    except (OSError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as CSV: {error}", STAGE) from error


def guess_delimiter(lines: Iterable[str]) -> str:
    text = "".join(lines)
    return max(DELIMITERS, key=text.count)


def read_workbook(path: Path, file_index: int, wanted: list[str]) -> Iterator[Sheet]:
    workbook = open_workbook(path)
    try:
        for index in select_sheets(workbook.worksheets, wanted, path):
            worksheet = workbook.worksheets[index]
            rows = read_worksheet(worksheet, path)
            yield Sheet(path, worksheet.title, file_index, index, rows)
    finally:
        workbook.close()


def open_workbook(path: Path) -> Any:
    from openpyxl import load_workbook

    warnings.filterwarnings("ignore", module="openpyxl")
    try:
        return load_workbook(path, read_only=True, data_only=True)
    except Exception as error:  # damaged files fail in many ways
        raise unreadable(path, error) from error


def select_sheets(worksheets: list[Any], wanted: list[str], path: Path) -> list[int]:
    titles = [worksheet.title for worksheet in worksheets]
    missing = [name for name in wanted if name not in titles]
    if missing:
        raise InputError(
            f"sheet {', '.join(missing)} not found in {path}; available: {', '.join(titles)}", STAGE
        )
    return [
        index
        for index, worksheet in enumerate(worksheets)
        if worksheet.title in wanted or (not wanted and worksheet.sheet_state == "visible")
    ]


def read_worksheet(worksheet: Any, path: Path) -> list[list[Any]]:
    try:
        worksheet.reset_dimensions()  # the declared size is often wrong
        return clean_rows(worksheet.iter_rows(values_only=True))
    except Exception as error:  # sheets are parsed only now
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path} cannot be read as a workbook, it may be damaged or password-protected "
        f"({describe(error)})",
        STAGE,
    )


def clean_rows(rows: Iterable[Iterable[Any]]) -> list[list[Any]]:
    return [clean_row(row) for row in rows]


def clean_row(values: Iterable[Any]) -> list[Any]:
    """Blank cells become None and those at the end are cut off."""
    row = [None if type(value) is str and not value.strip() else value for value in values]
    while row and row[-1] is None:
        row.pop()
    return row
