"""The input documents and the names under which messages mention them."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from .clean import INVISIBLE
from .errors import InputError

STAGE = "initialization"
MAX_NAME = 255


@dataclass(frozen=True)
class Document:
    """One input file; ``label`` is unique in a run, ``name`` need not be."""

    path: Path
    index: int
    name: str
    label: str

    @property
    def suffix(self) -> str:
        return self.path.suffix.lower()

    def error(
        self, reason: str, kind: type[InputError] = InputError, **details: object
    ) -> InputError:
        """An error that names the document: ``reason`` continues a sentence after its name."""
        place = {"document": self.name, "file_index": self.index}
        return kind(f"{self.label} {reason}", details={**place, **details})


def collect_documents(
    inputs: list[Path], input_dir: Path | None, metadata: dict[str, str]
) -> list[Document]:
    """The files to process: those given, or all of a folder by name."""
    paths = [path.absolute() for path in inputs] if input_dir is None else folder_files(input_dir)
    names = document_names(paths, metadata)
    counts: Counter[str] = Counter(names)
    seen: Counter[str] = Counter()
    documents = []
    for index, (path, name) in enumerate(zip(paths, names, strict=True)):
        seen[name] += 1
        label = f"{name} ({seen[name]} of {counts[name]})" if counts[name] > 1 else name
        documents.append(Document(path, index, name, label))
    return documents


def folder_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"input folder {folder} does not exist", STAGE)
    files = [path.absolute() for path in sorted(folder.iterdir()) if is_document(path)]
    if not files:
        raise InputError(f"input folder {folder} holds no files", STAGE)
    return files


def is_document(path: Path) -> bool:
    """Hidden files and the lock files of open workbooks are not documents."""
    return path.is_file() and not path.name.startswith((".", "~$"))


def document_names(paths: list[Path], metadata: dict[str, str]) -> list[str]:
    """What the users call the documents.

    A document that was given no name goes by its file's name, and when none was given any by its
    path, as whoever gave the path knows it.
    """
    given = staged_names(metadata.get("document_names"))
    if len(paths) == 1 and metadata.get("document_name"):
        given.setdefault(paths[0].name, metadata["document_name"])
    if not given:
        return [str(path) for path in paths]
    return [printable(given.get(path.name, "")) or printable(path.name) for path in paths]


def staged_names(text: str | None) -> dict[str, str]:
    """The JSON object of names by file name that comes as metadata ``document_names``."""
    if not text:
        return {}
    try:
        names = json.loads(text)
    except ValueError as error:
        raise InputError(f"metadata document_names is not JSON: {error}", STAGE) from error
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise InputError("metadata document_names must be an object of file names to names", STAGE)
    return names


def printable(name: str) -> str:
    """On one line, without characters that could disguise the name in a log."""
    return " ".join(INVISIBLE.sub("", name).split())[:MAX_NAME]
