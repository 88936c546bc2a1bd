"""A ResNet on images, from the model as written to a verdict: `python examples/resnet_images.py`.

Three stages of one residual block each, with group normalization, learn ten classes by AdamW. As written,
initialized by PyTorch and with one learning rate, the check finds it inconsistent: convolutions between
growing numbers of channels change their outputs the more, the wider the model is. With `ww.torch.parametrize`
(one line, the model untouched) it is consistent. Half a minute each on a CPU.

With `--images cifar10`, a folder with one folder for each class (or train/CLASS), it learns from these
images, cut to squares of 16 pixels; without, from noise around ten random patterns. CIFAR-10 as such folders:
`torchvision.datasets.CIFAR10(..., download=True)`, each image saved under the name of its class.
`widthwise check examples/resnet_images.py` checks what this file defines, and writes a page.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

import widthwise as ww

BASE_WIDTH, GROUPS, SIZE, CLASSES, BATCH = 32, 4, 16, 10, 32


def convolution(into: int, out: int, stride: int = 1) -> nn.Sequential:
    """Three by three, and a norm."""
    return nn.Sequential(nn.Conv2d(into, out, 3, stride, 1, bias=False), nn.GroupNorm(GROUPS, out))


class Stage(nn.Module):
    """Half the pixels and other channels, if asked for, and a residual block."""

    def __init__(self, into: int, out: int, stride: int):
        super().__init__()
        self.change = convolution(into, out, stride)
        self.branch = nn.Sequential(convolution(out, out), nn.ReLU(), convolution(out, out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sum of the branches."""
        x = torch.relu(self.change(x))
        return torch.relu(x + self.branch(x))


class ResNet(nn.Module):
    """Images (sample, color, row, column) to logits; the last stage has `width` channels."""

    def __init__(self, width: int):
        super().__init__()
        channels = (3, width // 4, width // 2, width)
        self.stages = nn.Sequential(*(Stage(*channels[i : i + 2], stride=1 + (i > 0)) for i in range(3)))
        self.head = nn.Linear(width, CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """From the mean over pixels."""
        return self.head(self.stages(images).mean((2, 3)))


def parametrized(width: int) -> ww.torch.Parametrized:
    """The same model, its initial sizes and learning rates by the rules of width."""
    return ww.torch.parametrize(ResNet, width, base_width=BASE_WIDTH)


def images_in(folder: Path, of_each: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    """The first images of each class, standardized, and the numbers of their classes."""
    from PIL import Image

    root = folder / "train" if (folder / "train").is_dir() else folder
    classes = sorted(each for each in root.iterdir() if each.is_dir())[:CLASSES]
    files = [(file, c) for c, each in enumerate(classes) for file in sorted(each.iterdir())[:of_each]]
    read = [np.asarray(Image.open(file).convert("RGB").resize((SIZE, SIZE))) for file, _ in files]
    images = torch.tensor(np.stack(read)).permute(0, 3, 1, 2) / 255
    return (images - images.mean()) / images.std(), torch.tensor([c for _, c in files])


def patterns(count: int = 2000) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise around ten random patterns, and their numbers."""
    generator = torch.Generator().manual_seed(0)
    known = torch.randn(CLASSES, 3, SIZE, SIZE, generator=generator)
    labels = torch.randint(CLASSES, (count,), generator=generator)
    return 0.3 * known[labels] + torch.randn(count, 3, SIZE, SIZE, generator=generator), labels


def batches(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and their classes; the step says which."""
    chosen = torch.randint(len(DATA[0]), (BATCH,), generator=torch.Generator().manual_seed(step))
    return DATA[0][chosen], DATA[1][chosen]


DATA = patterns()
make, optimizer, lr, loss = ResNet, "adamw", 3e-3, nn.functional.cross_entropy
widths, seeds, steps = (32, 64, 128, 256), 4, 10  # with `make = parametrized` it is consistent

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=Path, help="folder of images, one folder a class")
    if (folder := parser.parse_args().images) is not None:
        DATA = images_in(folder)
    torch.set_num_threads(1)
    settings = {"optimizer": optimizer, "lr": lr, "widths": widths, "seeds": seeds, "steps": steps}
    for title, factory in (("as written", ResNet), ("parametrized", parametrized)):
        with tempfile.TemporaryDirectory() as out:
            found = ww.torch.check(factory, batches, loss, out=out, **settings)
        print(f"{title}: {found.verdict}", *found.summary[:1], sep="\n  ")
