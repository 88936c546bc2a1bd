"""What the output of each trained tensor feeds, read off the graph of one forward pass."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from widthwise.adapters.torch_isolation import require_torch

# What only changes the shape, order or number type of a tensor, or takes a part of it.
VIEWS = (
    "T", "Transpose", "View", "UnsafeView", "Reshape", "ReshapeAlias", "Split", "SplitWithSizes", "Slice",
    "Select", "Expand", "Unsqueeze", "Squeeze", "Permute", "ToCopy", "Clone", "Alias", "Chunk", "Unbind",
)  # fmt: skip
PRODUCTS = ("Mm", "Addmm", "Bmm", "Baddbmm", "Linear", "Convolution", "Mv", "Dot")
SOFTMAX = ("Softmax", "SafeSoftmax")
LEAF = "torch::autograd::AccumulateGrad"


class Graph(NamedTuple):
    """What a pass shows: what each tensor's output `feeds`, and over how many entries attention's scores sum
    (`head_size`, 0 if there are none or several)."""

    feeds: dict[str, str]
    head_size: int = 0


def read_graph(run: Callable[[], Any], tensors: Mapping[str, Any]) -> Graph:
    """Of the tensor that `run` returns; empty where its graph does not lead to the tensors, as with layers
    that compute their own gradients.

    **Arguments:** `tensors`, by name.
    """
    with require_torch().enable_grad():
        output = run()
    if getattr(output, "grad_fn", None) is None:
        return Graph({})
    names = {id(tensor): name for name, tensor in tensors.items()}
    nodes = list(_reachable([output.grad_fn], lambda node: True))
    products = _score_products(nodes)
    sizes = {size for node in products if (size := _summed(node))}
    return Graph(_feeds(output.grad_fn, nodes, products, names), sizes.pop() if len(sizes) == 1 else 0)


def _feeds(root: Any, nodes: list[Any], products: list[Any], names: Mapping[int, str]) -> dict[str, str]:
    """Of each tensor on the way back from the output, what its product with the activations feeds:

    - "output": the model's output, with no further matrix between (read-outs, one or several heads);
    - "attention": the scores of attention, a product of activations that a softmax follows (queries, keys);
    - "gate": a softmax directly (routers);
    - "tied": looked up as an embedding, and also a read-out;
    - "network": further layers.
    """
    found = {name: "network" for node in nodes for name in _weights(node, names)}
    looked_up = {
        name for node in nodes if _kind(node).startswith("Embedding") for name in _weights(node, names)
    }
    gates = [
        node
        for softmax in nodes
        if _kind(softmax) in SOFTMAX
        for node in _before(softmax)
        if _kind(node) in PRODUCTS and not _is_bilinear(node)
    ]
    scores = [below for node in products for below in _inputs(node)[:2]]
    for roots, label in ((gates, "gate"), (scores, "attention"), ([root], "output")):
        found |= {name: label for name in _first_matrices(roots, names)}
    return found | {name: "tied" for name in looked_up if found.get(name) == "output"}


def _score_products(nodes: Iterable[Any]) -> list[Any]:
    """Products of activations that a softmax follows, or the whole of attention where it is one operation."""
    found = []
    for node in nodes:
        if "ScaledDotProduct" in _kind(node):
            found.append(node)
        elif _kind(node) in SOFTMAX:
            found += [each for each in _before(node) if _is_bilinear(each)]
    return found


def _before(softmax: Any) -> list[Any]:
    """What a softmax takes, back to the products before it."""
    return list(_reachable(_inputs(softmax), lambda node: _kind(node) not in PRODUCTS))


def _summed(product: Any) -> int:
    """Over how many entries a product sums; 0 if it does not tell."""
    for name in ("_saved_query", "_saved_self", "_saved_batch1"):
        saved = getattr(product, name, None)
        if saved is not None:
            return int(saved.shape[-1])
    return 0


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
