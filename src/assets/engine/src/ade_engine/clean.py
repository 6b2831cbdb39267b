"""Which characters of a cell's text count: invisible ones do not."""

import re

from .cells import ErrorValue

# Format characters (category Cf) without those that are visible, such as the Arabic number sign;
# control characters without tab and line ends; U+FFFE and U+FFFF, which no workbook can hold.
INVISIBLE_CLASS = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u070f\u17b4\u17b5\u180e\u200b"
    "\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb\ufffe\uffff"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# A joiner or non-joiner carries meaning between letters of scripts that join (Persian, Hindi) and
# between pictographs; beside Latin letters, digits and signs it is only in the way.
SIMPLE = "\x00-\u02ff\u2000-\u206f"
JOINERS = f"(?:(?<![^{SIMPLE}])[\u200c\u200d]|[\u200c\u200d](?![^{SIMPLE}]))"
INVISIBLE = re.compile(f"[{INVISIBLE_CLASS}]|{JOINERS}")
LINE_END = re.compile("\r\n?")
# Letters and signs that look like nothing: Hangul fillers and the empty Braille pattern.
BLANK = re.compile(r"[\s\u115f\u1160\u2800\u3164\uffa0\ufe00-\ufe0f\u200c\u200d]*")

# As Excel exports errors in English, German, French, Spanish, Italian, Portuguese and Dutch.
ERROR_NAMES = (
    "N/A N/D N/B NV REF! BEZUG! RIF! VERW! VALUE! WERT! VALEUR! VALOR! VALORE! WAARDE! DIV/0! "
    "NAME? NOM? NOMBRE? NOME? NAAM? NUM! NÚM! ZAHL! NOMBRE! GETAL! NULL! NUL! NULO! NULLO! LEEG! "
    "SPILL! ÜBERLAUF! CALC! KALK! FIELD! FELD! BLOCKED! CONNECT! UNKNOWN! BUSY! EXTERNAL! "
    "PYTHON! TIMEOUT! GETTING_DATA ERROR!"
)
ERROR_TEXTS = frozenset(f"#{name}" for name in ERROR_NAMES.split())


def clean_text(text: str) -> str:
    """Without invisible characters, and with plain line ends."""
    if text.isascii() and text.isprintable():
        return text
    return LINE_END.sub("\n", INVISIBLE.sub("", text))


def is_blank(text: str) -> bool:
    return not text or (not text[0].isascii() or text[0].isspace()) and bool(BLANK.fullmatch(text))


def is_error_text(text: str) -> bool:
    """#N/A, #REF! and the like, as an export to text writes them."""
    return text.startswith("#") and text.replace("¡", "").replace("¿", "") in ERROR_TEXTS


def cell_value(text: str) -> str | None:
    """The value of a cell of cleaned text; None when it is blank."""
    if is_blank(text):
        return None
    return ErrorValue(text) if is_error_text(text.strip()) else text
