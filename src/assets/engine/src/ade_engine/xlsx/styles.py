"""The number formats of a workbook by style; nothing else of the styles is looked at."""

from .numberformat import NumberFormat
from .package import Damaged, Package
from .xml import XmlFault, visit_elements

BUILT_IN = {
    1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00",
    12: "# ?/?", 13: "# ??/??", 14: "mm-dd-yy", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy",
    18: "h:mm AM/PM", 19: "h:mm:ss AM/PM", 20: "h:mm", 21: "h:mm:ss", 22: "m/d/yy h:mm",
    37: "#,##0", 38: "#,##0", 39: "#,##0.00", 40: "#,##0.00", 45: "mm:ss", 46: "[h]:mm:ss",
    47: "mm:ss.0", 48: "##0.0E+0", 49: "@",
    **dict.fromkeys((*range(27, 32), 36, *range(50, 55), 57, 58), "yyyy/m/d"),
    **dict.fromkeys((32, 33, 34, 35, 55, 56), "h:mm:ss"),
}  # fmt: skip
FAULTY_STYLES = "its styles cannot be read: dates may appear as numbers"


class Styles:
    """Number formats by the index that a cell refers to."""

    def __init__(self) -> None:
        self._codes: dict[int, str] = dict(BUILT_IN)
        self._ids: list[int] = []
        self._known: dict[int, NumberFormat] = {}

    def format(self, style: str | None) -> NumberFormat:
        """Cells without a style have the first one."""
        try:
            code = self._ids[int(style or 0)]
        except (ValueError, IndexError):
            code = 0
        known = self._known.get(code)
        if known is None:
            known = self._known[code] = NumberFormat(self._codes.get(code, "General"))
        return known

    def visit(self, path: tuple[str, ...], attributes: dict) -> None:
        if path == ("styleSheet", "numFmts", "numFmt"):
            self._codes[number(attributes.get("numFmtId"))] = attributes.get(
                "formatCode", "General"
            )
        elif path == ("styleSheet", "cellXfs", "xf"):
            self._ids.append(number(attributes.get("numFmtId")))


def read_styles(package: Package, part: str | None) -> tuple[Styles, str | None]:
    """The styles as far as they can be read, and what to say when that is not all."""
    styles, warning = Styles(), None
    if part and part in package:
        try:
            with package.open(part) as stream:
                visit_elements(stream, styles.visit)
        except (Damaged, XmlFault):
            warning = FAULTY_STYLES
    return styles, warning


def number(text: str | None) -> int:
    try:
        return int(text or 0)
    except ValueError:
        return 0
