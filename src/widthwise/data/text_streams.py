"""Text files as words or as characters."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int

from widthwise.data.files import data_path, file_size, files_digest, visible
from widthwise.data.vocabulary import number_words
from widthwise.data.windows import Text
from widthwise.errors import InputError
from widthwise.study import Study

BLOCK = 2**22  # bytes read at once, and on to the end of the line


def word_text(study: Study) -> Text:
    """Words of a text file, or of a folder's *.tokens in the layout of WikiText.

    In a folder, files with "train" in their name are trained on, and those with "test" (or else "valid") are
    held out; if none has "train", all that are not held out are trained on.

    **Errors:** `InputError` naming the file, and the byte and line where it is not UTF-8.
    """
    path = data_path(study)
    train, held = _token_files(path)
    known: dict[str, int] = {}
    parts = [number_words(_blocks(file), known) for file in (*train, *held)]
    tokens = np.concatenate(parts)
    split = sum(len(part) for part in parts[: len(train)]) if held else None
    root = path if path.is_dir() else path.parent
    return Text(tokens, list(known), split, files_digest([*train, *held], root))


def character_text(study: Study) -> Text:
    """Characters of a text file or, without `data.path`, of Python's own help topics, in their names' order.

    **Errors:** `InputError` naming the file, and the byte and line where it is not UTF-8.
    """
    if study.data.path is None:
        from pydoc_data.topics import topics

        text = "\n".join(topics[name] for name in sorted(topics))
        digest = hashlib.sha256(text.encode()).hexdigest()
    else:
        path = data_path(study)
        text, digest = "".join(_blocks(path)), files_digest([path], path.parent)
    return Text(*numbered_characters(text), None, digest)


def numbered_characters(text: str) -> tuple[Int[np.ndarray, " position"], list[str]]:
    """Characters by the order of first occurrence, and which they are.

    >>> numbered_characters("abba")
    (array([0, 1, 1, 0], dtype=int32), ['a', 'b'])
    """
    points = np.frombuffer(text.encode("utf-32-le"), "<u4")
    letters, first, numbers = np.unique(points, return_index=True, return_inverse=True)
    order = np.argsort(first)
    ranks = np.argsort(order).astype(np.int32)
    return ranks[numbers], [chr(letter) for letter in letters[order]]


def _token_files(path: Path) -> tuple[list[Path], list[Path]]:
    """Files to train on and to hold out."""
    if not path.is_dir():
        return [path], []
    files = [p for p in visible(path) if p.suffix == ".tokens" and file_size(p) is not None]
    if not files:
        raise InputError(f"{path}: holds no *.tokens files")
    train = [file for file in files if "train" in file.name]
    others = [file for file in files if file not in train]
    held = next((found for word in ("test", "valid") if (found := [f for f in others if word in f.name])), [])
    if not train and len(held) == len(files):
        return files, []
    return train or [file for file in others if file not in held], held


def _blocks(path: Path) -> Iterator[str]:
    """A file's text, whole lines at a time."""
    try:
        with path.open("rb") as file:
            begin, line = 0, 1
            while lines := file.readlines(BLOCK):
                block = b"".join(lines)
                yield _decoded(path, block, begin, line)
                begin, line = begin + len(block), line + len(lines)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _decoded(path: Path, block: bytes, begin: int, line: int) -> str:
    """Text of a block that starts at byte `begin`, in line `line`."""
    if begin == 0:
        block = block.removeprefix(b"\xef\xbb\xbf") if block[:3] == b"\xef\xbb\xbf" else block
    try:
        text = block.decode("utf-8")
        bad = text.find("\0")
        if bad < 0:
            return text
        where, what = len(text[:bad].encode()), "holds a zero byte (another encoding, or no text)"
    except UnicodeDecodeError as error:
        where, what = error.start, f"is not UTF-8 ({error.reason})"
    encoding = "UTF-16" if begin == 0 and block[:2] in (b"\xff\xfe", b"\xfe\xff") else "LATIN1"
    where_line = line + block[:where].count(b"\n")
    raise InputError(
        f"{path}: {what} at byte {begin + where:,}, line {where_line:,}; convert it, for instance with "
        f"`iconv -f {encoding} -t UTF-8`"
    )
