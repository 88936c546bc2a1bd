"""Kernels as heat maps: theory, networks at the widest, and their difference, over layers and steps."""

import numpy as np
import xarray as xr
from jaxtyping import Float

from widthwise.analysis import point_splits
from widthwise.analysis.align import usable_seeds
from widthwise.report.curves import theory_steps
from widthwise.report.figure import Control, Figure, Panel, chosen_steps, plain
from widthwise.report.gather import Gathered
from widthwise.report.words import KERNELS

MOST_POINTS = 48
MOST_FRAMES = 12
NUMBERS_IN_FIGURE = 250_000


def kernel_figure(run: Gathered) -> Figure | None:
    """One set of heat maps for each kernel and layer; None if neither file has a kernel."""
    kernels = [(name, layer) for name in KERNELS for layer in _layers(run, name)]
    sources = _sources(run)
    if not kernels or not sources:
        return None
    data = run.theory if run.theory is not None else run.records
    assert data is not None
    order, train = point_order(data, MOST_POINTS)
    frames = max(2, min(MOST_FRAMES, NUMBERS_IN_FIGURE // (len(kernels) * 3 * len(order) ** 2)))
    steps = _common_steps(run)
    at = chosen_steps(steps, frames)
    shown = {
        (name, source): _kernel(run, name, source, steps[at], order)
        for name in dict.fromkeys(name for name, _ in kernels)
        for source in sources
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


def _sources(run: Gathered) -> list[str]:
    with_theory = run.theory is not None and any(k in run.theory for k in KERNELS)
    with_networks = bool(run.widths) and any(_of_networks(run, k) is not None for k in KERNELS)
    return (["theory"] if with_theory else []) + (["networks"] if with_networks else [])


def _of_networks(run: Gathered, name: str) -> xr.DataArray | None:
    """A kernel of every network, not yet read; None if it was not recorded."""
    if run.records is None or not {"width", "seed", "step"} <= set(
        getattr(run.records.get(name), "dims", ())
    ):
        return None
    return run.records[name]


def _layers(run: Gathered, name: str) -> list[int | None]:
    """Positions of a kernel's layers if every shown source has it; [None] for a kernel without layers."""
    found = []
    for source in _sources(run):
        array = run.theory.get(name) if source == "theory" and run.theory is not None else None
        array = _of_networks(run, name) if source == "networks" else array
        if array is None:
            return []
        found.append(array.sizes.get("layer", 0))
    return [None] if not found or min(found) == 0 else list(range(min(found)))


def _kernel(
    run: Gathered, name: str, source: str, steps: np.ndarray, order: np.ndarray
) -> Float[np.ndarray, "frame ..."]:
    """One kernel (frame, perhaps layer, point, point_b) at these steps and points, of networks the mean over
    the seeds that count at the widest width; only that much is read of records of any size."""
    points, place = np.unique(order, return_inverse=True)
    chosen: dict[str, int | np.ndarray] = {"point": points, "point_b": points}
    if source == "theory":
        assert run.theory is not None
        array = run.theory[name].isel(chosen | {"step": np.searchsorted(theory_steps(run), steps)})
    else:
        assert run.records is not None
        width = int(np.flatnonzero(run.records["width"].to_numpy() == run.widths[-1])[0])
        chosen |= {"width": width, "step": np.searchsorted(run.records["step"].to_numpy(), steps)}
        seeds = np.flatnonzero(usable_seeds(run.records)[width])
        # One by one, since a store reads and unpacks several chunks at once.
        every = [run.records[name].isel(chosen | {"seed": k}).load().astype(np.float64) for k in seeds]
        array = xr.concat(every, "seed").mean("seed")
    middle = ["layer"] if "layer" in array.dims else []
    values = array.transpose("step", *middle, "point", "point_b").to_numpy().astype(np.float64)
    return values[..., place[:, None], place]


def _common_steps(run: Gathered) -> np.ndarray:
    steps = [theory_steps(run)] if run.theory is not None else []
    if run.numbers is not None and run.widths:
        steps.append(run.numbers["step"].to_numpy())
    return steps[0] if len(steps) == 1 else np.intersect1d(steps[0], steps[1])


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
    cut = {"color": "@paper", "width": 1.5}
    edges = (
        []
        if train in (0, size)
        else [
            {"type": "line", "x0": train - 0.5, "x1": train - 0.5, "y0": -0.5, "y1": size - 0.5, "line": cut},
            {"type": "line", "y0": train - 0.5, "y1": train - 0.5, "x0": -0.5, "x1": size - 0.5, "line": cut},
        ]
    )
    trace = {
        "type": "heatmap",
        "z": [plain(row, 3) for row in matrix],
        "colorscale": scale,
        "zmin": low,
        "zmax": high,
        "hovertemplate": "points %{x}, %{y}: %{z:.4g}<extra></extra>",
    }
    return Panel([trace], {"shapes": edges})
