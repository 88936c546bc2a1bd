"""Small data of every kind, written by the tests themselves, each sample different from all others."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from widthwise.study import (
    DataSettings,
    EnsembleSettings,
    NetworkSettings,
    RecordSettings,
    Study,
    TrainingSettings,
)

RECORD = RecordSettings(quantities=("prediction", "loss"), train_points=3)


def picture(seed: int, shape: tuple[int, ...] = (10, 12, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write_images(root: Path, classes: tuple[str, ...], each: int, first: int = 0) -> Path:
    from PIL import Image

    for c, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(each):
            Image.fromarray(picture(first + 1000 * c + i)).save(root / name / f"{i}.png")
    return root


def write_parts(root: Path, counts: tuple[int, ...], save: Callable = np.savez) -> Path:
    root.mkdir(exist_ok=True)
    for part, count in enumerate(counts):
        images = picture(part, (count, 32, 32, 3))
        save(root / f"part{part}.npz", X=images, Y=np.arange(count) % 10)
    return root


def sentence(words: int, seed: int) -> str:
    """Of fifty different words, so that a few in a row are never met again."""
    return " ".join(f"w{n}" for n in np.random.default_rng(seed).integers(0, 50, words))


def write_words(path: Path, lines: int) -> Path:
    """Ten words a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f" {sentence(10, k)} \n" for k in range(lines)))
    return path


def write_documents(path: Path, count: int) -> Path:
    """Twenty words a document, as lines of JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps({"text": sentence(20, k)}) for k in range(count)))
    return path


def stream_study(folder: Path, text: bool = False, batch: int = 4, steps: int = 7, **data) -> Study:
    training = TrainingSettings(
        optimizer="sgd", batch=batch, steps=steps, loss="cross_entropy" if text else "mse", reduction="mean"
    )
    return Study(
        name="a",
        data=DataSettings(**data),
        network=NetworkSettings(kind="transformer" if text else "mlp"),
        training=training,
        ensemble=EnsembleSettings(widths=(32, 64), seeds=2),
        record=RECORD,
        folder=str(folder),
    )


def studies(folder: Path) -> dict[str, Callable[[], Study]]:
    """One study of each kind and order; its files are written when it is asked for."""

    def make(text: bool = False, write: Callable | None = None, **data) -> Callable[[], Study]:
        def study() -> Study:
            if write:
                write()
            return stream_study(folder, text, **data)

        return study

    ab = ("ant", "bee", "cat")
    words = {"text": True, "vocabulary": 10_000, "sequence_length": 5}
    found = {
        "digits": make(kind="digits", train=10, test=4),
        "arrays": make(
            kind="arrays",
            path="points.npz",
            write=lambda: np.savez(
                folder / "points.npz",
                x_train=np.arange(22.0).reshape(11, 2),
                y_train=np.arange(11.0),
                x_test=-np.ones((1, 2)),
                y_test=[0.0],
            ),
        ),
        "synthetic online": make(kind="synthetic", order="online", test=4),
        "mnist1d online": make(kind="mnist1d", order="online", test=4),
        "mnist1d": make(kind="mnist1d", train=9, test=4),
        "cifar5m": make(
            kind="cifar5m", path="p", train=9, test=4, write=lambda: write_parts(folder / "p", (8, 20, 9))
        ),
        "characters": make(
            kind="text",
            path="t.txt",
            train=9,
            test=4,
            write=lambda: (folder / "t.txt").write_text(
                "".join(chr(97 + int(w[1:])) for w in sentence(500, 0).split())
            ),
            **words,
        ),
    }
    for order in ("", " online"):
        both = {"test": 4, "train": 9, "order": order.strip() or "offline", "size": 8}
        found |= {
            "folder" + order: make(
                kind="image_folder", path="i", write=lambda: write_images(folder / "i", ab, 12), **both
            ),
            "folders" + order: make(
                kind="image_folder",
                path="i",
                write=lambda: [
                    write_images(folder / "i" / "train", ab, 10),
                    write_images(folder / "i" / "val", ab, 2, 100),
                ],
                **both,
            ),
            "tokens" + order: make(
                kind="tokens",
                path="w.tokens",
                write=lambda: write_words(folder / "w.tokens", 40),
                **both,
                **words,
            ),
            "huggingface texts" + order: make(
                kind="huggingface",
                path="h",
                write=lambda: write_documents(folder / "h/a.jsonl", 15),
                **both,
                **words,
            ),
            "huggingface images" + order: make(
                kind="huggingface",
                path="i",
                write=lambda: write_images(folder / "i" / "train", ab, 12),
                **both,
            ),
        }
    found["cifar5m online"] = make(
        kind="cifar5m",
        path="p",
        order="online",
        test=4,
        write=lambda: write_parts(folder / "p", (8, 20, 9), np.savez_compressed),
    )
    return found
