"""One call of `ww.torch.parametrize` for each of 20 architectures, judged by `ww.torch.check`.

    python benchmarks/torch_architectures.py [--folder DIR] [--parametrization P] [NAME ...]

Each is trained at four widths and four seeds for eight steps of AdamW, in "mean_field" and in "standard"
parametrization. Results are written as they come, and what is there is not done again unless it is named.
It needs the packages `torchvision`, `timm` and `transformers`.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any, NamedTuple

import torch
import torch_zoo_libraries as libraries
import torch_zoo_own as own
from machine import RESULTS, write_result
from torch.nn import functional

import widthwise as ww

NAME, SEEDS, STEPS, BATCH, TIMES = "torch_architectures", 4, 8, 16, (1, 2, 4, 8)
BOTH = ("mean_field", "standard")
TEXT = "\n".join(topics[name] for name in sorted(topics))
NUMBERS = {each: i % own.CHARACTERS for i, each in enumerate(sorted(set(TEXT)))}
CODES = torch.tensor([NUMBERS[character] for character in TEXT])


class Architecture(NamedTuple):
    """A factory, what it learns, the base width, the roles that its shapes do not tell, and the rate."""

    library: str
    make: Callable[[int], torch.nn.Module]
    task: str
    base: int = 32
    tags: dict[str, str] | None = None
    lr: float = 3e-3


TABLE = {
    "perceptron": Architecture("own", own.perceptron, "images"),
    "convolutions": Architecture("own", own.convolutions, "images", 16),
    "transformer": Architecture("own", own.transformer, "texts"),
    "mixture of experts": Architecture("own", own.mixture, "texts"),
    "LSTM": Architecture("own", own.Lstm, "texts"),
    "U-Net": Architecture("own", own.UNet, "denoising", 8),
    "ResNet": Architecture("torchvision", libraries.torchvision_resnet, "images", 16),
    "VGG": Architecture("torchvision", libraries.torchvision_vgg, "images", 16),
    "ConvNeXt": Architecture("torchvision", libraries.torchvision_convnext, "images"),
    "MobileNetV3": Architecture("torchvision", libraries.torchvision_mobilenet, "images", 16),
    "ViT": Architecture("torchvision", libraries.torchvision_vit, "images"),
    "ViT of timm": Architecture("timm", libraries.timm_vit, "images"),
    "MLP-Mixer": Architecture("timm", libraries.timm_mixer, "images"),
    "ResNet of timm": Architecture("timm", libraries.timm_resnet, "images", 16),
    "GPT-2": Architecture("transformers", libraries.gpt2, "texts"),
    "Llama": Architecture("transformers", libraries.llama, "texts"),
    "Granite": Architecture("transformers", libraries.granite, "texts"),
    "BERT": Architecture("transformers", libraries.bert, "masked"),
    "T5": Architecture("transformers", libraries.Seq2Seq, "texts"),
    "Mamba": Architecture("transformers", libraries.mamba, "texts", tags={"*.A_log": "input"}),
}


def texts_of(step: int) -> torch.Tensor:
    """Pieces of text (text, position + 1)."""
    generator = torch.Generator().manual_seed(step)
    starts = torch.randint(len(CODES) - own.LENGTH, (BATCH, 1), generator=generator)
    return CODES[starts + torch.arange(own.LENGTH + 1)]


def images_of(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images, the smooth pattern of their class in noise, and their classes."""
    coarse = torch.randn(own.CLASSES, own.CHANNELS, 4, 4, generator=torch.Generator().manual_seed(10**6))
    patterns = functional.interpolate(coarse, size=(own.SIDE, own.SIDE), mode="bilinear")
    generator = torch.Generator().manual_seed(step)
    classes = torch.randint(own.CLASSES, (2 * BATCH,), generator=generator)
    noise = torch.randn(2 * BATCH, own.CHANNELS, own.SIDE, own.SIDE, generator=generator)
    return patterns[classes] + noise / 2, classes


def batch_of(given: Architecture, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets of a step."""
    if given.task == "images":
        return images_of(step)
    if given.task == "denoising":
        images, _ = images_of(step)
        return images, functional.avg_pool2d(images, 3, 1, 1)
    texts = texts_of(step)
    if given.task == "texts":
        return texts[:, :-1], texts[:, 1:]
    hidden = texts[:, :-1].clone()
    hidden[:, ::4] = 0
    return hidden, texts[:, :-1]


def loss_of(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross entropy of classes or characters, or the mean square of images."""
    if outputs.ndim == 4:
        return functional.mse_loss(outputs, targets)
    return functional.cross_entropy(outputs.flatten(0, -2), targets.flatten())


def outcome_of(given: Architecture, parametrization: str, out: Path) -> dict[str, Any]:
    """The verdict on one architecture in one parametrization."""
    begun = time.process_time()
    try:
        found = checked(given, parametrization, out)
    except ww.InputError as error:
        return {"verdict": "failed", "cause": str(error)}
    return {
        "verdict": found.verdict,
        "cause": found.summary[0],
        "rows": len(found.rows),
        "first": [
            dict(row.where) | {"claim": row.claim, "verdict": row.verdict, "estimate": row.estimate}
            for row in found.rows
            if row.verdict in ("inconsistent", "underpowered")
        ][:4],
        "seconds": round(time.process_time() - begun, 1),
    }


def checked(given: Architecture, parametrization: str, out: Path) -> Any:
    """The audit of one architecture in one parametrization."""

    def make(width: int) -> Any:
        return ww.torch.parametrize(
            given.make, width, base_width=given.base, parametrization=parametrization, tags=given.tags
        )

    return ww.torch.check(
        make,
        lambda step: batch_of(given, step),
        loss_of,
        lr=given.lr,
        widths=[times * given.base for times in TIMES],
        seeds=SEEDS,
        steps=STEPS,
        out=out,
        loss_kind="mse" if given.task == "denoising" else "cross_entropy",
    )


def main() -> None:
    """Judge those named, or those without a result, and keep each result at once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TABLE))
    parser.add_argument("--folder", type=Path, default=Path("runs/architectures"))
    parser.add_argument("--parametrization", choices=BOTH)
    given = parser.parse_args()
    torch.set_num_threads(1)
    path = RESULTS / f"{NAME}.json"
    results = json.loads(path.read_text())["architectures"] if path.exists() else {}
    for parametrization in [given.parametrization] if given.parametrization else BOTH:
        for name in given.names or TABLE:
            known = results.setdefault(name, {"library": TABLE[name].library})
            if given.names or parametrization not in known:
                known[parametrization] = outcome_of(
                    TABLE[name], parametrization, given.folder / name / parametrization
                )
                print(f"{name}, {parametrization}: {known[parametrization]}", flush=True)
                kept = {name: results[name] for name in TABLE if name in results}
                write_result(NAME, {"architectures": kept, "seeds": SEEDS, "steps": STEPS, "times": TIMES})


if __name__ == "__main__":
    main()
