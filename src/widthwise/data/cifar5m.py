"""CIFAR-5m: parts of some hundred thousand images, read where they lie."""

import threading
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, UInt8

from widthwise.data.files import data_path, files_digest, visible
from widthwise.data.images import LabeledImages
from widthwise.errors import InputError
from widthwise.study import Study

SIZE, CLASSES = 32, 10
LOCAL_HEADER = 30  # bytes of a zip member's own header, before its name and extra field


class Member(NamedTuple):
    """An array in a zip archive: its form, and where its bytes begin if they are not compressed."""

    shape: tuple[int, ...]
    column_order: bool
    dtype: np.dtype
    begin: int | None


def cifar5m_images(study: Study) -> LabeledImages:
    """Images of a folder's .npz parts, in natural order (part9 before part10), each in the file's order.

    Each part has X (n, 32, 32, 3) bytes and Y (n,) whole numbers 0 to 9. The last `data.test` images are
    held out; the others are trained on, in order. Images that are not compressed are mapped, not loaded.

    **Errors:** `InputError` naming the part that is damaged, holds Python objects (which are never
    unpickled), or arrays of other shapes and types.
    **Source:** P. Nakkiran, B. Neyshabur, H. Sedghi, The Deep Bootstrap Framework (2021).
    """
    data, root = study.data, data_path(study)
    if data.size != SIZE:
        raise InputError(f"`data.size` = {data.size}: the images of CIFAR-5m have {SIZE} x {SIZE} pixels")
    files = [path for path in visible(root) if path.suffix == ".npz"]
    if not files:
        raise InputError(f"{root}: holds no .npz parts")
    labels = np.concatenate([_part_labels(path) for path in files])
    counts = [_members(path)["X"].shape[0] for path in files]
    last = len(labels) - data.test
    train = last if data.order == "online" else data.train
    if train > last or last < 1:
        raise InputError(
            f"`data.train` = {data.train} and `data.test` = {data.test}: {root} has {len(labels)} images; "
            "ask for fewer"
        )
    return LabeledImages(
        _Parts(files, counts).read,
        labels,
        np.arange(train),
        np.arange(last, len(labels)),
        CLASSES,
        files_digest(files, root),
        SIZE,
    )


class _Parts:
    """Images of all parts by number; parts that are mapped stay open, of those loaded only the last."""

    def __init__(self, files: list[Path], counts: list[int]) -> None:
        self.files, self.ends = files, np.cumsum(counts)
        self.mapped: dict[int, np.ndarray] = {}
        self.loaded: tuple[int, np.ndarray] | None = None
        self.lock = threading.Lock()

    def read(self, numbers: Int[np.ndarray, " image"]) -> UInt8[np.ndarray, "image 32 32 3"]:
        parts = np.searchsorted(self.ends, numbers, side="right")
        found = np.empty((len(numbers), SIZE, SIZE, 3), np.uint8)
        for part in np.unique(parts):
            own = parts == part
            begin = self.ends[part - 1] if part else 0
            found[own] = self._images(int(part))[numbers[own] - begin]
        return found

    def _images(self, part: int) -> np.ndarray:
        with self.lock:
            if part in self.mapped:
                return self.mapped[part]
            if self.loaded is not None and self.loaded[0] == part:
                return self.loaded[1]
            path = self.files[part]
            member = _members(path)["X"]
            if member.begin is None:
                self.loaded = None  # room for the next
                self.loaded = (part, _load(path, "X"))
                return self.loaded[1]
            order = "F" if member.column_order else "C"
            images = np.memmap(path, np.uint8, "r", member.begin, member.shape, order)
            self.mapped[part] = images
            return images


def _part_labels(path: Path) -> Int[np.ndarray, " image"]:
    """Labels of a part whose arrays have the right shapes and types."""
    images, labels = (_members(path)[name] for name in ("X", "Y"))
    if images.dtype != np.uint8 or images.shape[1:] != (SIZE, SIZE, 3):
        raise InputError(
            f"{path}: `X` has shape {images.shape} and type {images.dtype}: give (n, 32, 32, 3) bytes (uint8)"
        )
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise InputError(
            f"{path}: `Y` has shape {labels.shape} and type {labels.dtype}: give {images.shape[:1]} "
            "whole numbers"
        )
    values = _load(path, "Y")
    if len(values) and not (values.min() >= 0 and values.max() < CLASSES):
        row = int(np.flatnonzero((values < 0) | (values >= CLASSES))[0])
        raise InputError(f"{path}: `Y` is {values[row]} at index {row}: classes are 0 to {CLASSES - 1}")
    return values.astype(int)


def _load(path: Path, name: str) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return archive[name]
    except Exception as error:  # a foreign file can make NumPy and zipfile raise anything
        raise InputError(f"{path}: `{name}` is damaged or cut short: {error}") from None


def _members(path: Path) -> dict[str, Member]:
    """The forms of X and Y, from their headers alone."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = {f"{i.filename}": i for i in archive.infolist()}
            lost = [name for name in ("X", "Y") if f"{name}.npy" not in found]
            members = {
                name: _member(path, archive, found[f"{name}.npy"]) for name in ("X", "Y") if name not in lost
            }
    except Exception as error:
        raise InputError(f"{path}: no .npz file, or damaged or cut short: {error}") from None
    if lost:
        raise InputError(f"{path}: `{lost[0]}` is missing; the file has {sorted(found)}")
    for name, member in members.items():
        if member.dtype.hasobject:
            raise InputError(f"{path}: `{name}` holds Python objects, which are never loaded; store numbers")
    return members


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    with archive.open(info) as file:
        shape, column_order, dtype = _header(file)
        header = file.tell()
    if info.compress_type != zipfile.ZIP_STORED:
        return Member(shape, column_order, dtype, None)
    with path.open("rb") as raw:
        raw.seek(info.header_offset)
        local = raw.read(LOCAL_HEADER)
    names = int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
    begin = info.header_offset + LOCAL_HEADER + names + header
    if begin + int(np.prod(shape)) * dtype.itemsize > path.stat().st_size:
        raise ValueError("the file ends before its arrays do")
    return Member(shape, column_order, dtype, begin)


def _header(file: Any) -> tuple[tuple[int, ...], bool, Any]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(file)
