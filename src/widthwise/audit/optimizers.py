"""Which optimizer moves each tensor: from a hash of its class's name, which is what training records."""

import zlib

import numpy as np

from widthwise.audit.ensemble_view import EnsembleView

NAMES = {
    float(zlib.crc32(name.encode())): name
    for name in (
        "SGD", "Adam", "AdamW", "Muon", "Lion", "Adafactor", "MuSGD", "MuAdam", "MuAdamW", "RMSprop", "NAdam",
        "Adagrad", "Adamax", "RAdam", "SGDW", "SOAP", "Shampoo",
    )
}  # fmt: skip
RECORDED = "optimizer_hash"


def optimizers_of(measured: EnsembleView) -> dict[str, str]:
    """The class of each tensor's optimizer, "" where it is not known."""
    return measured.once("optimizers", lambda: _optimizers(measured))


def _optimizers(measured: EnsembleView) -> dict[str, str]:
    names = measured.names("tensor") if "tensor" in measured.records.dims else []
    if not measured.has(RECORDED, "step", "tensor"):
        return dict.fromkeys(names, "")
    with np.errstate(all="ignore"):
        table = np.nanmax(measured.numbers(RECORDED)[0], axis=(0, 1), initial=-1.0)
    return {name: NAMES.get(float(number), "") for name, number in zip(names, table, strict=True)}


def adaptive(measured: EnsembleView) -> bool:
    """Whether the optimizer's steps do not follow the size of gradients, as those of Adam; by what training
    recorded, else by the study."""
    if measured.has(RECORDED, "step", "tensor"):
        numbers = np.unique(np.concatenate([v.ravel() for v in measured.numbers(RECORDED)]))
        return not {"SGD", "MuSGD"} & {NAMES.get(number) for number in numbers}
    return measured.study is not None and measured.study.training.optimizer in ("adam", "adamw")
