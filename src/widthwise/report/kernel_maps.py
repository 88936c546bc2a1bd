"""Kernels as heat maps: theory, networks at the widest, and their difference, over layers and steps."""

from functools import reduce

import numpy as np
import xarray as xr
from jaxtyping import Float

from widthwise.analysis import point_splits
from widthwise.analysis.align import measured_variables, step_labels, usable_seeds
from widthwise.report.figure import Control, Figure, Panel, chosen_steps, plain
from widthwise.report.gather import Gathered
from widthwise.report.words import KERNELS

MOST_POINTS = 48
MOST_FRAMES = 12
NUMBERS_IN_FIGURE = 250_000


def kernel_figure(run: Gathered) -> Figure | None:
    """One set of heat maps for each kernel and layer; None if neither file has a kernel."""
    sources = _sources(run)
    names = [name for name in KERNELS if sources and all(name in data for data in sources.values())]
    kernels = [(name, layer) for name in names for layer in _layers([s[name] for s in sources.values()])]
    data = run.theory if run.theory is not None else run.records
    if not kernels or data is None:
        return None
    order, train = point_order(data, MOST_POINTS)
    frames = max(2, min(MOST_FRAMES, NUMBERS_IN_FIGURE // (len(kernels) * 3 * len(order) ** 2)))
    steps = _common_steps(run)
    at = chosen_steps(steps, frames)
    shown = {
        (name, source): _kernel(data[name], steps[at], order)
        for name in names
        for source, data in sources.items()
    }
    views = []
    for name, layer in kernels:
        maps = [
            {
                source: shown[name, source][frame] if layer is None else shown[name, source][frame, layer]
                for source in sources
            }
            for frame in range(len(at))
        ]
        low, high = _range([m for frame in maps for m in frame.values()])
        scale = max(high, -low) or 1.0
        with np.errstate(invalid="ignore"):
            differences = [frame["networks"] - frame["theory"] for frame in maps if len(frame) == 2]
        lowest, highest = _range(differences)
        gap = max(highest, -lowest) or 1.0
        for position, frame in enumerate(maps):
            panels = [_heat(m, "@sequential", (low, scale), train) for m in frame.values()]
            if differences:
                panels.append(_heat(differences[position], "@diverging", (-gap, gap), train))
            views.append(panels)
    titles = {
        "theory": "Theory, infinite width",
        "networks": f"Networks, mean at N = {run.widths[-1]}" if run.widths else "",
    }
    labels = tuple(
        KERNELS[name] + (f", layer {layer + 1}" if layer is not None else "") for name, layer in kernels
    )
    return Figure(
        id="kernels",
        title="Kernels",
        caption="Each square is a pair of points, sorted by target within the training and the test points "
        f"(separated by lines); {len(order)} points are shown. Color scales cover all steps.",
        panels=tuple([titles[s] for s in sources] + (["Networks − theory"] if len(sources) == 2 else [])),
        views=views,
        controls=(
            Control("Kernel", labels),
            Control("Step", tuple(str(int(steps[i])) for i in at), kind="range", initial=len(at) - 1),
        ),
        shape="heat",
    )


def _range(matrices: list[np.ndarray]) -> tuple[float, float]:
    """The least and greatest finite entry, zero included: kernels after a divergence are not finite."""
    entries = np.concatenate([np.zeros(1), *(m.ravel() for m in matrices)])
    finite = entries[np.isfinite(entries)]
    return float(finite.min()), float(finite.max())


def _sources(run: Gathered) -> dict[str, xr.Dataset]:
    """The files that have kernels, not yet read; of networks those that count, at the widest width."""
    found = {} if run.theory is None else {"theory": run.theory}
    if run.records is not None and run.widths:
        kept = [name for name in measured_variables(run.records) if name in KERNELS]
        width = int(np.flatnonzero(run.records["width"].to_numpy() == run.widths[-1])[0])
        seeds = np.flatnonzero(usable_seeds(run.records)[width]) if kept else np.zeros(0, int)
        found["networks"] = run.records[kept].isel(width=width, seed=seeds, missing_dims="ignore")
    return {source: data for source, data in found.items() if any(name in data for name in KERNELS)}


def _layers(kernels: list[xr.DataArray]) -> list[int | None]:
    """Positions of the layers that every source has; [None] for a kernel without layers."""
    count = min(kernel.sizes.get("layer", 0) for kernel in kernels)
    return [*range(count)] if count else [None]


def _kernel(array: xr.DataArray, steps: np.ndarray, order: np.ndarray) -> Float[np.ndarray, "frame ..."]:
    """One kernel (frame, perhaps layer, point, point_b) at these steps and points, of networks the mean over
    seeds; only that much is read of records of any size."""
    points, place = np.unique(order, return_inverse=True)
    at = np.searchsorted(array["step"].to_numpy(), steps)
    array = array.isel(point=points, point_b=points, step=at)
    if "seed" in array.dims:
        # One by one, since a store reads and unpacks several chunks at once.
        every = [array.isel(seed=k).load().astype(np.float64) for k in range(array.sizes["seed"])]
        array = xr.concat(every, "seed").mean("seed")
    middle = ["layer"] if "layer" in array.dims else []
    values = array.transpose("step", *middle, "point", "point_b").to_numpy().astype(np.float64)
    return values[..., place[:, None], place]


def _common_steps(run: Gathered) -> np.ndarray:
    known = [run.theory, run.numbers if run.widths else None]
    return reduce(np.intersect1d, [step_labels(data) for data in known if data is not None])


def point_order(data: xr.Dataset, most: int) -> tuple[np.ndarray, int]:
    """Positions of at most `most` points, training points first, by target; and how many are trained."""
    points = data.sizes["point"]
    targets = data["target"].to_numpy() if "target" in data else np.zeros((points, 1))
    by_target = targets[:, 0] if targets.shape[1] == 1 else targets.argmax(axis=1)
    tested = np.array([split == "test" for split in point_splits(data) or ["train"] * points])
    order = np.lexsort((np.arange(points), by_target, tested))
    shown = order[np.unique(np.rint(np.linspace(0, points - 1, min(points, most))).astype(int))]
    return shown, int((~tested[shown]).sum())


def _heat(matrix: np.ndarray, scale: str, bounds: tuple[float, float], train: int) -> Panel:
    size = len(matrix)
    low, high = bounds
    at, cut = train - 0.5, {"type": "line", "line": {"color": "@paper", "width": 1.5}}
    edges = [
        cut | {f"{across}0": at, f"{across}1": at, f"{along}0": -0.5, f"{along}1": size - 0.5}
        for across, along in ("xy", "yx")
        if 0 < train < size
    ]
    trace = {
        "type": "heatmap",
        "z": [plain(row, 3) for row in matrix],
        "colorscale": scale,
        "zmin": low,
        "zmax": high,
        "hovertemplate": "points %{x}, %{y}: %{z:.4g}<extra></extra>",
    }
    return Panel([trace], {"shapes": edges})
