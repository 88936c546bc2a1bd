"""What the output of each trained tensor feeds, read off the graph of one forward pass."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from widthwise.adapters.torch_isolation import require_torch

# What only changes the shape, order or number type of a tensor, or takes a part of it.
VIEWS = (
    "T", "Transpose", "View", "UnsafeView", "Reshape", "ReshapeAlias", "Split", "SplitWithSizes", "Slice",
    "Select", "Expand", "Unsqueeze", "Squeeze", "Permute", "ToCopy", "Clone", "Alias", "Chunk", "Unbind",
)  # fmt: skip
PRODUCTS = ("Mm", "Addmm", "Bmm", "Baddbmm", "Linear", "Convolution", "Mv", "Dot")
LEAF = "torch::autograd::AccumulateGrad"


def find_feeds(outputs: Any, tensors: Mapping[str, Any]) -> dict[str, str]:
    """Of each tensor that is met on the way back from `outputs`, what its product with the activations feeds:

    - "output": the model's output, with no further matrix between (read-outs, one or several heads);
    - "attention": the scores of attention, a product of activations that a softmax follows (queries, keys);
    - "gate": a softmax directly (routers);
    - "tied": looked up as an embedding, and also a read-out;
    - "network": further layers.

    **Arguments:** `outputs`, a tensor computed with gradients; `tensors`, by name.
    """
    names = {id(tensor): name for name, tensor in tensors.items()}
    nodes = list(_reachable([outputs.grad_fn], lambda node: True))
    found = {name: "network" for node in nodes for name in _weights(node, names)}
    looked_up = {
        name for node in nodes if _kind(node).startswith("Embedding") for name in _weights(node, names)
    }
    gates, scores = [], []
    for node in nodes:
        kind = _kind(node)
        if "ScaledDotProduct" in kind:
            scores += _inputs(node)[:2]
        elif kind in ("Softmax", "SafeSoftmax", "Sigmoid"):
            met = list(_reachable(_inputs(node), lambda n: _kind(n) not in PRODUCTS))
            scores += [below for n in met if _is_bilinear(n) for below in _inputs(n)]
            gates += [n for n in met if kind != "Sigmoid" and _kind(n) in PRODUCTS and not _is_bilinear(n)]
    for roots, label in ((gates, "gate"), (scores, "attention"), ([outputs.grad_fn], "output")):
        found |= {name: label for name in _first_matrices(roots, names)}
    return found | {name: "tied" for name in looked_up if found.get(name) == "output"}


def _first_matrices(roots: Iterable[Any], names: Mapping[int, str]) -> Iterator[str]:
    """Tensors of the products that are met first on the way back, and vectors added or multiplied before."""

    def passes(node: Any) -> bool:
        return not (_kind(node) in PRODUCTS and not _is_bilinear(node)) and "Embedding" not in _kind(node)

    for node in _reachable(roots, passes):
        if _kind(node) in PRODUCTS or _kind(node) == "Add":
            yield from _weights(node, names)


def _weights(node: Any, names: Mapping[int, str]) -> Iterator[str]:
    """Names of the trained tensors that a node takes directly."""
    for below in _inputs(node):
        leaf = _leaf(below)
        if leaf is not None and id(leaf) in names:
            yield names[id(leaf)]


def _is_bilinear(node: Any) -> bool:
    """Whether a product is one of activations alone."""
    below = _inputs(node)
    return _kind(node) in PRODUCTS and len(below) > 1 and all(_leaf(each) is None for each in below)


def _leaf(node: Any) -> Any:
    """The tensor of which a node is a view, perhaps times a number; None of one that was computed."""
    while node.name() != LEAF:
        below = _inputs(node)
        if _kind(node) not in VIEWS and not (_kind(node) in ("Mul", "Div") and len(below) == 1):
            return None
        if len(below) != 1:
            return None
        node = below[0]
    return node.variable


def _reachable(roots: Iterable[Any], passes: Callable[[Any], bool]) -> Iterator[Any]:
    """Every node on the way back from `roots`, each once; those that do not pass end their way."""
    waiting, seen = [node for node in roots if node is not None], set()
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        yield node
        if passes(node):
            waiting += _inputs(node)


def _inputs(node: Any) -> list[Any]:
    return [below for below, _ in node.next_functions if below is not None]


def _kind(node: Any) -> str:
    """The operation without what PyTorch adds to its name.

    >>> class Node:
    ...     name = lambda self: "SoftmaxBackward0"
    >>> _kind(Node())
    'Softmax'
    """
    return node.name().rsplit("::", 1)[-1].split("Backward")[0]


def feeds_of(run: Callable[[], Any], tensors: Mapping[str, Any]) -> dict[str, str]:
    """`find_feeds` of the tensor that `run` returns; empty where its graph does not lead to the tensors, as
    with layers that compute their own gradients."""
    with require_torch().enable_grad():
        output = run()
    return {} if getattr(output, "grad_fn", None) is None else find_feeds(output, tensors)
