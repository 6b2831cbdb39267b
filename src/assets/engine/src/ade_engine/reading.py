"""Reading the input documents into sheets."""

from collections.abc import Iterator
from logging import Logger

from .documents import Document
from .filetypes import is_workbook
from .limits import Budget
from .tables import Sheet
from .text.csvfile import read_text
from .xlsx.workbook import read_workbook

TEXT_SUFFIXES = {".csv", ".tsv", ".txt"}
WORKBOOK_SUFFIXES = {".xlsx", ".xlsm", ".xltx", ".xltm"}


def read_sheets(documents: list[Document], wanted: list[str], logger: Logger) -> Iterator[Sheet]:
    """Read sheet after sheet; ``wanted`` empty means every visible sheet."""
    budget = Budget()
    for document in documents:
        check_file(document)
        for sheet in read_document(document, wanted, budget, logger):
            sheet.notices.report(sheet.label, logger)
            yield sheet


def read_document(
    document: Document, wanted: list[str], budget: Budget, logger: Logger
) -> Iterator[Sheet]:
    """The content decides how a document is read; where its name says otherwise, that is told."""
    workbook = is_workbook(document)
    if workbook != (document.suffix in WORKBOOK_SUFFIXES):
        kind = "a workbook" if workbook else "text with delimiters"
        logger.warning("%s is %s in spite of its name and was read as such", document.label, kind)
    if workbook:
        yield from read_workbook(document, wanted, budget, logger)
    else:
        if wanted:
            logger.warning("%s has no sheets, so it was read as a whole", document.label)
        yield read_text(document, budget)


def check_file(document: Document) -> None:
    if not document.path.is_file():
        raise document.error("does not exist")
    if document.suffix not in TEXT_SUFFIXES | WORKBOOK_SUFFIXES:
        supported = ", ".join(sorted(TEXT_SUFFIXES | WORKBOOK_SUFFIXES))
        raise document.error(f"has no supported file type ({supported})")
