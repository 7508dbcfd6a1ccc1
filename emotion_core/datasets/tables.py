"""CSV tables of data sets, as people write them."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from ..errors import BadTable, UnsafePath
from ..texts import say

PATH_COLUMNS = ("image_path", "image", "path", "file", "filename", "file_name", "image_name")
LABEL_COLUMNS = ("emotion", "label", "class", "expression")
#: Beside the tables of an exported data set; it names them.
CARD_FILE, CARD_SCHEMA = "card.json", "mien-dataset-card/1"
_HEADER_BYTES = 4096
#: What spreadsheets write before a header, to say what separates its columns.
_OF_EXCEL = re.compile(r"\Asep=.\r?(\n|\Z)")
#: A cell of pixels has 9 kB; a longer one than this is no table.
_CELL_CHARS = 1_000_000


def read_table(content: bytes, name: str, *, limit: int | None = None) -> pd.DataFrame:
    """Read a CSV with a header; every cell is a text, an empty one is empty.

    Where the header has no comma, its columns may be separated by semicolons or tabs, as
    spreadsheets of many countries save them.

    Args:
        content: The file: UTF-8, with or without a byte order mark.
        name: How messages call it.
        limit: Read so many rows only.

    Raises:
        BadTable: It is no UTF-8, has no header, a name stands twice in it, or a row has another
            number of cells.
    """
    csv.field_size_limit(_CELL_CHARS)
    try:
        text = _OF_EXCEL.sub("", content.decode("utf-8-sig"))
        first = text[:_HEADER_BYTES].partition("\n")[0]
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(first))
        header = [cell.strip() for cell in next(reader, [])]
        rows = []
        for cells in reader:
            if not any(map(str.strip, cells)):  # as spreadsheets leave them
                continue
            if len(cells) != len(header):
                reason = f"line {reader.line_num} has {len(cells)} cells instead of {len(header)}"
                raise BadTable(say("error.bad_table", name=name, reason=reason))
            rows.append(cells)
            if limit is not None and len(rows) >= limit:
                break
    except UnicodeDecodeError as error:
        raise BadTable(say("error.bad_table", name=name, reason="it is not UTF-8")) from error
    except csv.Error as error:
        raise BadTable(say("error.bad_table", name=name, reason=str(error))) from error
    named = [cell for cell in header if cell]
    if not named or len(set(named)) != len(named):
        reason = "its first line does not name the columns"
        raise BadTable(say("error.bad_table", name=name, reason=reason))
    table = pd.DataFrame(rows, columns=header, dtype="str")
    return table.loc[:, [bool(cell) for cell in header]]


def column_of(table: pd.DataFrame, names: Sequence[str], file: str) -> str:
    """Return the column of a table that has one of some names, upper or lower case.

    Raises:
        BadTable: There is none.
    """
    for name in names:
        for column in table.columns:
            if str(column).lower() == name:
                return str(column)
    raise BadTable(say("error.no_column", name=file, columns=" / ".join(names)))


def header_of(path: Path) -> list[str]:
    """Return the names of the first line of a CSV; none where it is no text."""
    try:
        with path.open("rb") as handle:
            lines = handle.read(_HEADER_BYTES).split(b"\n")
        texts = (line.decode("utf-8-sig") for line in lines)
        text = next((one for one in texts if not is_sign_line(one)), "")
        cells = next(csv.reader([text], delimiter=delimiter_of(text), skipinitialspace=True), [])
        return [cell.strip().lower() for cell in cells]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def is_sign_line(line: str) -> bool:
    """Return whether a line is what spreadsheets write before a header."""
    return bool(_OF_EXCEL.match(line))


def delimiter_of(header: str) -> str:
    """Return what separates the columns of a header."""
    return next((sign for sign in (",", ";", "\t") if sign in header), ",")


def place_in(base: str, text: str, file: str) -> str:
    """Return where a path in a table leads, relative to the data set.

    Args:
        base: The folder of the table, relative to the data set.
        text: The path as the table has it, with either slash.
        file: The table's name, for the message.

    Raises:
        UnsafePath: It is absolute or leads out of the data set.
    """
    plain = text.strip().replace("\\", "/")
    parts: list[str] = [] if base == "." else list(PurePosixPath(base).parts)
    is_outside = (
        not plain or plain.startswith(("/", "~")) or ":" in plain.split("/")[0] or "\0" in plain
    )
    for part in plain.split("/"):
        if part == "..":
            is_outside |= not parts
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    if is_outside or not parts:
        raise UnsafePath(say("error.path_outside", name=file, path=text[:60]))
    return "/".join(parts)
