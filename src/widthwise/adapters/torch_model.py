"""The module that is trained, inside what wraps it, and its tensors."""

from typing import Any

from widthwise.adapters.torch_isolation import require_torch
from widthwise.errors import InputError


def unwrap(model: Any) -> Any:
    """The user's module in `torch.compile`, DataParallel and DistributedDataParallel, however nested.

    **Errors:** `InputError` for what is no module, or one whose weights are spread over processes.
    """
    torch = require_torch()
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"`model` is a {type(model).__name__}: give a torch.nn.Module")
    parallel = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)
    while True:
        if "_orig_mod" in model._modules:
            model = model._modules["_orig_mod"]
        elif isinstance(model, parallel):
            model = model.module
        else:
            break
    sharded = any("FullySharded" in type(module).__name__ for module in model.modules())
    if sharded or any(type(p).__name__ == "DTensor" for p in model.parameters()):
        raise InputError(
            "`model` is sharded over processes (FSDP), and no process has all of it: record smaller widths"
        )
    return model


def is_recording_rank() -> bool:
    """Whether this process records: rank 0, or the only one."""
    torch = require_torch()
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank() == 0
    return True


def module_name(model: Any) -> str:
    """The class's name."""
    return type(model).__name__


def clean(name: str) -> str:
    """A path in a module without the traces of `torch.compile`."""
    return name.replace("_orig_mod.", "")


def tensors_of(model: Any) -> tuple[dict[str, Any], dict[str, tuple[int, ...]]]:
    """Trained tensors by name, tied ones once, and their shapes as (out, in, ...).

    Of embeddings, transposed convolutions and GPT-2's Conv1D axes are exchanged. A matrix that belongs to no
    module of `torch.nn` may be laid out either way: its shape is left out.
    """
    torch = require_torch()
    owners: dict[int, Any] = {}
    for module in model.modules():
        for p in module._parameters.values():
            owners.setdefault(id(p), module)
    tensors = {
        clean(name): p for name, p in model.named_parameters() if p.requires_grad and p.is_floating_point()
    }
    if not tensors:
        raise InputError("`model` has no trained tensors (none requires a gradient)")
    for name, p in tensors.items():
        if torch.nn.parameter.is_lazy(p):
            raise InputError(
                f"`{name}` has no shape yet (a lazy module): build it with its sizes written out"
            )
    swapped = (torch.nn.Embedding, torch.nn.EmbeddingBag, torch.nn.modules.conv._ConvTransposeNd)
    shapes = {}
    for name, p in tensors.items():
        owner = owners[id(p)]
        shape = tuple(p.shape)
        if len(shape) >= 2 and (isinstance(owner, swapped) or type(owner).__name__ == "Conv1D"):
            shape = (shape[1], shape[0], *shape[2:])
        elif len(shape) >= 2 and not any(
            base.__module__.startswith("torch.nn.modules") for base in _own(owner)
        ):
            continue
        shapes[name] = shape
    return tensors, shapes


def _own(module: Any) -> list[type]:
    """The classes of a module but those that every module has."""
    torch = require_torch()
    return [base for base in type(module).__mro__ if base not in (torch.nn.Module, object)]
