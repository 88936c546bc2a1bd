"""Folders of images, one folder a class, read with Pillow."""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from widthwise.data.files import data_path, file_size, files_digest, missing_package, visible
from widthwise.data.images import LabeledImages, choose_images
from widthwise.errors import InputError
from widthwise.study import Study

# What Pillow may take a file for, whatever its name: never EPS, for which it would run another program.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM")
TIFF = (".tif", ".tiff")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", *TIFF, ".ppm", ".pgm")
HELD_OUT_FOLDERS = ("test", "val", "valid", "validation")


class Listing(NamedTuple):
    """Image files of each class, the classes in the order of their names."""

    classes: list[str]
    files: list[Path]
    labels: list[int]


def folder_images(study: Study) -> LabeledImages:
    """The images of ROOT/CLASS/*.png (jpg, ...), or of ROOT/train/CLASS and ROOT/test/CLASS (or val).

    Classes are the folders' names in order. Hidden files, files of other kinds and folders within class
    folders are passed over. Without a test folder, held-out images are taken from the others and never
    trained on. Images of any mode and size become RGB of `data.size` x `data.size`: the largest square in
    the middle, resized.

    **Errors:** `InputError` naming the folder that is missing, empty or of an unknown class; the file that
    is damaged or no image, when it is read.
    """
    require_pillow()
    root, size = data_path(study), study.data.size
    train, held = list_images(root)
    files = [*train.files, *(held.files if held else [])]
    labels = np.array([*train.labels, *(held.labels if held else [])], int)
    chosen = choose_images(labels[: len(train.files)], labels[len(train.files) :] if held else None, study)

    def read(numbers: np.ndarray) -> np.ndarray:
        return np.stack([read_image(files[n], size) for n in numbers])

    return LabeledImages(read, labels, *chosen, len(train.classes), files_digest(files, root), size)


def list_images(root: Path) -> tuple[Listing, Listing | None]:
    """Training and, if they have a folder of their own, held-out image files."""
    names, split = {path.name for path in visible(root)}, root / "train"
    if "train" not in names or not (split.is_dir() and any(p.is_dir() for p in visible(split))):
        return _list_classes(root, None), None
    train = _list_classes(split, None)
    for name in HELD_OUT_FOLDERS:
        if name in names and (root / name).is_dir():
            return train, _list_classes(root / name, train.classes)
    return train, None


def _list_classes(root: Path, known: list[str] | None) -> Listing:
    """Of a folder with one folder a class; `known` classes, if given, are the only ones allowed."""
    folders = sorted((p for p in visible(root) if p.is_dir()), key=lambda p: p.name)
    classes = known or [folder.name for folder in folders]
    if len(classes) < 2 or not folders:
        raise InputError(f"{root}: has {len(folders)} folders; give one folder a class, at least two")
    files, labels = [], []
    for folder in folders:
        if folder.name not in classes:
            raise InputError(f"{folder}: no class of this name is trained on; they are {', '.join(classes)}")
        own = [p for p in visible(folder) if p.suffix.lower() in SUFFIXES and file_size(p) is not None]
        if not own:
            kinds = ", ".join(suffix[1:] for suffix in SUFFIXES)
            raise InputError(f"{folder}: holds no images ({kinds}); remove the folder or fill it")
        files += own
        labels += [classes.index(folder.name)] * len(own)
    return Listing(classes, files, labels)


def require_pillow() -> None:
    """Raise `InputError` unless Pillow is installed."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError:
        raise missing_package("pillow", "images") from None


def read_image(file: Path | bytes, size: int, name: str = "") -> UInt8[np.ndarray, "size size 3"]:
    """One image file, or its bytes, as RGB of `size` x `size`; transparency is dropped.

    **Errors:** `InputError` naming the file (or `name`) if it is cut short, damaged, or no image.
    """
    from PIL import Image

    try:
        tiff = isinstance(file, bytes) or file.suffix.lower() in TIFF
        formats = (*FORMATS, "TIFF") if tiff else FORMATS
        with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file, formats=formats) as image:
            image.draft(
                "RGB", (2 * size, 2 * size)
            )  # large JPEG files are decoded at a fraction of their size
            image.load()
            picture = _rgb(image)
    except Exception as error:  # a foreign file can make Pillow raise anything
        raise InputError(f"{name or file}: no image that can be read: {error}") from None
    width, height = picture.size
    if (width, height) != (size, size):
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        picture = picture.resize((size, size), Image.Resampling.BILINEAR, box=box)
    return np.asarray(picture)


def _rgb(image):
    """Of any mode; gray of 16 bits keeps its upper 8, which Pillow's own conversion would clip."""
    from PIL import Image

    if image.mode.startswith("I"):
        values = np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255)
        return Image.fromarray(values.astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("it holds real numbers; store bytes")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # the way that Pillow wants palettes with transparency to go
    return image.convert("RGB")
