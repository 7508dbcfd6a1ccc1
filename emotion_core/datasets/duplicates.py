"""Copies of pictures: exact ones by their bytes, near ones by how they look."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
from numpy.typing import NDArray

EXACT, NEAR = "exact", "near"
#: Hashes of near copies differ in so many of 64 bits at most. python -m benchmarks.datasets
#: --copies prints how many retouched drawn faces that finds, and how many different ones it takes.
NEAR_BITS = 12
#: And their 16×16 thumbnails correlate at least so much, since hashes of likely pictures meet by
#: chance.
NEAR_CORRELATION = 0.95
#: Pictures with a smaller spread show nothing, and all look alike.
_BLANK_CONTRAST = 3.0
#: Blocks of pairs that stay in the processor's cache.
_ROWS_AT_ONCE, _COLUMNS_AT_ONCE = 32, 8192
#: And so many at once, which bounds the memory.
_BLOCKS_AT_ONCE = max(4, os.cpu_count() or 1)
_THUMB_VALUES = 256


def find_groups(index: pd.DataFrame) -> pd.DataFrame:
    """Find the pictures that are copies of each other, by `NEAR_BITS` and `NEAR_CORRELATION`.

    Args:
        index: Columns `sha256`, `phash`, `thumb`, `contrast` and `is_readable`.

    Returns:
        The index's rows with two columns: `exact`, a number shared by exact copies, and `group`,
        a number shared by exact and near ones; missing where there is no copy.
    """
    usable = index["is_readable"].to_numpy(bool)
    exact = np.full(len(index), -1, np.int64)
    exact[usable] = pd.factorize(index["sha256"][usable])[0]
    rows = np.flatnonzero(usable)
    _, first, to_first = np.unique(exact[rows], return_index=True, return_inverse=True)
    unique = index.iloc[rows[first]]
    group = np.full(len(index), -1, np.int64)
    group[rows] = _near_components(unique)[to_first]
    return pd.DataFrame(
        {"exact": _shared(exact), "group": _shared(group)}, index=index.index, dtype="Int64"
    )


def summarise_groups(index: pd.DataFrame) -> pd.DataFrame:
    """Return a row per group of copies.

    Args:
        index: Columns `exact` and `group` of `find_groups`, `label` and `split`.

    Returns:
        Columns `group`, `kind` (`exact` or `near`), `n`, `labels` and `splits` (comma-separated),
        `is_conflict` (labels differ) and `is_leak` (it stands on both sides of a split).
    """
    held = index.dropna(subset=["group"])
    found = held.groupby("group", sort=True).agg(
        n=("path", "size"), exact=("exact", "nunique"), copied=("exact", "count")
    )
    for column, differs in (("label", "is_conflict"), ("split", "is_leak")):
        words = _words_of(held, column)
        told = [words.get(group, []) for group in found.index]
        found[f"{column}s"] = pd.Series(map(",".join, told), found.index, dtype="str")
        found[differs] = np.array([len(one) > 1 for one in told], bool)
    is_exact = (found["exact"] == 1) & (found["copied"] == found["n"])
    found["kind"] = np.where(is_exact, EXACT, NEAR)
    columns = ["kind", "n", "labels", "splits", "is_conflict", "is_leak"]
    return found[columns].reset_index()


def _near_components(unique: pd.DataFrame) -> NDArray[np.int64]:
    """Number pictures so that near copies share a number; a blank one is only its own."""
    groups = np.arange(len(unique))
    telling = np.flatnonzero(unique["contrast"].to_numpy(float) >= _BLANK_CONTRAST)
    hashes = unique["phash"].to_numpy(np.uint64)[telling]
    thumbs = _normalised(unique["thumb"].iloc[telling])
    groups[telling] = telling[_close_components(hashes, thumbs)]
    return groups


def _close_components(hashes: NDArray[np.uint64], thumbs: NDArray[np.float32]) -> NDArray[np.int64]:
    """Compare everything with everything; return for each row the first of those it goes with.

    50,000 pictures are 1.25 billion pairs of 64 bits: some seconds, and nothing is missed. What
    goes together already is not compared, so that many pictures of one look take no more memory.
    """
    # an install for reading photos alone has no SciPy
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n = len(hashes)
    groups = np.arange(n)

    def close_pairs(start: int) -> NDArray[np.int64]:
        block = hashes[start : start + _ROWS_AT_ONCE, None]
        close = [np.zeros((2, 0), np.int64)]
        for first in range(start, n, _COLUMNS_AT_ONCE):
            others = hashes[None, first : first + _COLUMNS_AT_ONCE]
            near = np.flatnonzero(np.bitwise_count(block ^ others) <= NEAR_BITS)
            pairs = np.stack(np.divmod(near, others.shape[1])) + np.array([[start], [first]])
            left, right = pairs[:, groups[pairs[0]] != groups[pairs[1]]]
            rows, row_of = np.unique(left, return_inverse=True)
            columns, column_of = np.unique(right, return_inverse=True)
            likeness = (thumbs[rows] @ thumbs[columns].T)[row_of, column_of]
            close.append(np.stack([left, right])[:, likeness >= NEAR_CORRELATION])
        return np.concatenate(close, axis=1)

    starts = range(0, n, _ROWS_AT_ONCE)
    with ThreadPoolExecutor() as pool:
        for begin in range(0, len(starts), _BLOCKS_AT_ONCE):
            found = pool.map(close_pairs, starts[begin : begin + _BLOCKS_AT_ONCE])
            left, right = groups[np.concatenate(list(found), axis=1)]
            if len(left):
                links = coo_matrix((np.ones(len(left), bool), (left, right)), (n, n))
                numbers = connected_components(links, directed=False)[1][groups]
                _, first_of, number = np.unique(numbers, return_index=True, return_inverse=True)
                groups = first_of[number]
    return groups


def _normalised(thumbs: pd.Series) -> NDArray[np.float32]:
    """Return thumbnails as float32 (n, 256) with mean 0 and length 1."""
    pixels = np.frombuffer(b"".join(thumbs), np.uint8).reshape(len(thumbs), _THUMB_VALUES)
    centred = pixels - pixels.mean(axis=1, keepdims=True, dtype=np.float32)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(length, 1e-6), np.float32)


def _shared(numbers: NDArray[np.int64]) -> pd.array:  # type: ignore[valid-type]
    """Keep the numbers that stand more than once, counted anew from 0 in order of appearance."""
    series = pd.Series(numbers)
    is_shared = (numbers >= 0) & series.duplicated(keep=False).to_numpy()
    found = pd.array([pd.NA] * len(numbers), dtype="Int64")
    found[is_shared] = pd.factorize(series[is_shared])[0]
    return found


def _words_of(held: pd.DataFrame, column: str) -> dict[int, list[str]]:
    """Return the different words of each group in order; groups without one are left out."""
    is_told = held[column].notna() & (held[column] != "")
    told = held.loc[is_told, ["group", column]].drop_duplicates().sort_values(["group", column])
    words: dict[int, list[str]] = {}
    for group, word in zip(told["group"], told[column], strict=True):
        words.setdefault(int(group), []).append(str(word))
    return words
