"""A workbook: which sheets it has and where their parts are."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from logging import Logger

from ..cells import Row
from ..documents import Document
from ..errors import InputError
from ..limits import Budget
from ..notices import Notices
from ..tables import Sheet
from .moments import EPOCH_1900, EPOCH_1904
from .package import Damaged, Package, damaged, open_package
from .strings import read_strings
from .styles import Styles, read_styles
from .values import CellValues
from .worksheet import WorksheetReader, read_worksheet
from .xml import XmlFault, visit_elements

DEFAULT_PART = "xl/workbook.xml"
OTHER_SHEETS = {
    "chartsheet": "a chart sheet",
    "dialogsheet": "a dialog sheet",
    "xlMacrosheet": "a macro sheet",
    "xlIntlMacrosheet": "a macro sheet",
}
MISSING = "missing"
MAX_LISTED = 20


@dataclass(frozen=True)
class SheetEntry:
    """One sheet as the workbook lists it; ``kind`` is worksheet or the type of another sheet."""

    name: str
    state: str
    kind: str
    part: str

    @property
    def visible(self) -> bool:
        return self.state not in ("hidden", "veryHidden")


class Workbook:
    """The directory of a workbook's parts."""

    def __init__(self, package: Package, part: str):
        self.epoch: dt.date = EPOCH_1900
        self.sheets: list[SheetEntry] = []
        self._package = package
        self._part = part
        self._relationships = package.relationships(part)
        with package.open(part) as stream:
            visit_elements(stream, self._visit)

    def _visit(self, path: tuple[str, ...], attributes: dict) -> None:
        if path == ("workbook", "workbookPr"):  # extensions have others of that name
            is_1904 = attributes.get("date1904", "").strip().lower() in ("1", "true", "on")
            self.epoch = EPOCH_1904 if is_1904 else EPOCH_1900
        elif path == ("workbook", "sheets", "sheet"):
            kind, part = self._relationships.get(attributes.get("id", ""), ("", ""))
            if not part:
                kind, part = self._guess()
            name = attributes.get("name", f"Sheet{len(self.sheets) + 1}")
            self.sheets.append(SheetEntry(name, attributes.get("state", "visible"), kind, part))

    def _guess(self) -> tuple[str, str]:
        """Where sheets are by custom, for a workbook whose relationships are damaged."""
        folder = self._part.rpartition("/")[0]
        part = f"{folder}/worksheets/sheet{len(self.sheets) + 1}.xml"
        return "worksheet" if part in self._package else MISSING, part

    def part(self, kind: str, custom: str) -> str:
        """The part of a type, where it is by custom when no relationship says."""
        parts = [part for known, part in self._relationships.values() if known == kind]
        folder = self._part.rpartition("/")[0]
        return parts[0] if parts else f"{folder}/{custom}"


def read_workbook(
    document: Document, wanted: list[str], budget: Budget, logger: Logger
) -> Iterator[Sheet]:
    """The wanted worksheets, or all visible ones."""
    with open_package(document) as package:
        try:
            reader = WorkbookReader(document, package, budget)
            chosen = choose_sheets(document, reader.workbook.sheets, wanted)
            log_others(document, reader.workbook.sheets, chosen, wanted, logger)
            yield from reader.sheets(chosen)
        except (Damaged, XmlFault) as error:
            raise damaged(document, str(error)) from error


class WorkbookReader:
    """Reads sheet after sheet of one document."""

    def __init__(self, document: Document, package: Package, budget: Budget):
        self._document = document
        self._package = package
        self._budget = budget
        self.workbook = Workbook(package, main_part(document, package))

    def sheets(self, chosen: list[SheetEntry]) -> Iterator[Sheet]:
        workbook, package = self.workbook, self._package
        worksheets = worksheets_of(workbook.sheets)
        strings = read_strings(package, workbook.part("sharedStrings", "sharedStrings.xml"))
        styles, warning = read_styles(package, workbook.part("styles", "styles.xml"))
        for entry in chosen:
            notices = Notices()
            if warning:
                notices.add(warning)
            index = worksheets.index(entry)
            sheet = Sheet(
                self._document, entry.name, index, [], notices=notices, epoch=workbook.epoch
            )
            sheet.rows = self._rows(entry, strings, styles, sheet)
            yield sheet

    def _rows(
        self, entry: SheetEntry, strings: list[str], styles: Styles, sheet: Sheet
    ) -> list[Row]:
        def new_reader() -> WorksheetReader:
            values = CellValues(strings, sheet.epoch, sheet.notices)
            reader = WorksheetReader(values, styles, sheet.notices)
            reader.take = lambda values: self._budget.take(values, sheet.label)
            return reader

        return read_worksheet(new_reader, lambda: self._package.open(entry.part))


def worksheets_of(sheets: list[SheetEntry]) -> list[SheetEntry]:
    return [entry for entry in sheets if entry.kind == "worksheet"]


def log_others(
    document: Document,
    sheets: list[SheetEntry],
    chosen: list[SheetEntry],
    wanted: list[str],
    logger: Logger,
) -> None:
    """Nobody asked for the other sheets, but nobody said either that they are to be left out."""
    left = [entry for entry in sheets if entry not in chosen and entry.kind != MISSING]
    missing = [entry for entry in sheets if entry.kind == MISSING]
    if missing:
        text = "%s: the file has no data of these sheets: %s"
        logger.warning(text, document.label, listed(missing))
    if left and not wanted:
        logger.info(
            "%s: hidden sheets and sheets without cells were not read: %s",
            document.label,
            listed(left),
        )


def choose_sheets(
    document: Document, sheets: list[SheetEntry], wanted: list[str]
) -> list[SheetEntry]:
    """The worksheets to read, in the workbook's order."""
    worksheets = worksheets_of(sheets)
    if wanted:
        check_wanted(document, sheets, worksheets, wanted)
        return [entry for entry in worksheets if entry.name in wanted]
    if not worksheets:
        raise document.error("has no worksheet, so there are no cells to read")
    visible = [entry for entry in worksheets if entry.visible]
    if not visible:
        raise document.error(
            f"has only hidden sheets ({listed(worksheets)}); show them, or name those to read"
        )
    return visible


def check_wanted(
    document: Document, sheets: list[SheetEntry], worksheets: list[SheetEntry], wanted: list[str]
) -> None:
    names = [entry.name for entry in worksheets]
    missing = [name for name in wanted if name not in names]
    if not missing:
        return
    other = {entry.name: OTHER_SHEETS.get(entry.kind, "no worksheet") for entry in sheets}
    reasons = [f"{name} is {other[name]}" for name in missing if name in other]
    notes = f" ({'; '.join(reasons)})" if reasons else ""
    raise InputError(
        f"sheet {', '.join(missing)} not found in {document.label}; "
        f"available: {listed(worksheets)}{notes}",
        details={"document": document.name, "file_index": document.index},
    )


def listed(entries: list[SheetEntry]) -> str:
    more = " ..." if len(entries) > MAX_LISTED else ""
    return ", ".join(entry.name for entry in entries[:MAX_LISTED]) + more


def main_part(document: Document, package: Package) -> str:
    """The workbook's own part; an error says what the archive is when it has none."""
    found = [part for kind, part in package.relationships("").values() if kind == "officeDocument"]
    part = found[0] if found else DEFAULT_PART
    if part in package and part.lower().endswith(".xml") and not is_other(part):
        return part
    if DEFAULT_PART in package:
        return DEFAULT_PART
    raise document.error(f"is {archive_kind(package, part)}")


def is_other(part: str) -> bool:
    return part.lower().startswith(("word/", "ppt/", "visio/"))


def archive_kind(package: Package, part: str) -> str:
    """What a zip archive that is no workbook is."""
    names = package.names()
    if part.lower().endswith(".bin") or "xl/workbook.bin" in names:
        return "a binary Excel workbook (.xlsb); save it as .xlsx"
    if "mimetype" in names:
        with package.open("mimetype") as stream:
            kind = stream.read(200).decode("ascii", "replace")
        if "opendocument" in kind:
            return f"an OpenDocument file ({kind.rpartition('.')[2]}); save it as .xlsx"
    for folder, kind in (("word/", "a Word document"), ("ppt/", "a PowerPoint presentation")):
        if any(name.startswith(folder) for name in names):
            return f"{kind}, not a spreadsheet"
    if any(name.endswith(".iwa") for name in names):
        return "an Apple Numbers document; export it as .xlsx"
    return "a zip archive, not a spreadsheet; unpack it first"
