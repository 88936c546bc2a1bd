"""A check from a file that defines it: `make`, `batches` and `loss`, and what else `check` takes."""

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from widthwise.errors import InputError
from widthwise.torch.user_code import failures_told

NEEDED = ("make", "batches", "loss")
OPTIONAL = (
    "optimizer", "lr", "weight_decay", "scheduler", "clip", "widths", "seeds", "steps", "probes", "device",
    "outputs", "attention", "features", "layers", "multipliers", "tensor_roles", "loss_kind",
)  # fmt: skip


@contextmanager
def defined_in(file: Path) -> Iterator[dict[str, Any]]:
    """What a file defines of `check`'s arguments, while what it imports from its own folder can be imported.

    **Errors:** `InputError` if it cannot be read, fails, or lacks one of `NEEDED`.
    """
    if not file.is_file():
        raise InputError(f"{file}: is no file; give a Python file that defines `make`, `batches` and `loss`")
    spec = importlib.util.spec_from_file_location("widthwise_checked_file", file)
    if spec is None or spec.loader is None:
        raise InputError(f"{file}: is no Python file; its name should end in .py")
    module = importlib.util.module_from_spec(spec)
    before, sys.path = sys.path, [str(file.resolve().parent), *sys.path]
    sys.modules[spec.name] = module
    try:
        with failures_told(f"{file}"):
            spec.loader.exec_module(module)
        yield _arguments(file, vars(module))
    finally:
        sys.path = before
        del sys.modules[spec.name]


def _arguments(file: Path, names: Mapping[str, Any]) -> dict[str, Any]:
    missing = [name for name in NEEDED if name not in names]
    if missing:
        own = sorted(name for name in names if not name.startswith("_") and not inspect.ismodule(names[name]))
        raise InputError(
            f"{file}: defines no {' and no '.join(f'`{name}`' for name in missing)}; it defines "
            f"{', '.join(own) or 'nothing'}"
        )
    return {name: names[name] for name in (*NEEDED, *OPTIONAL) if name in names}


def digest_of(file: Path) -> str:
    """The content of a file as a short text."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
