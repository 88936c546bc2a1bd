"""One picture of a run for a README or a slide: loss, prediction and scatter, theory against networks.

Draw it of a finished run: `python examples/picture.py runs/digits picture.png`.
"""

import io
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from widthwise.analysis import point_splits
from widthwise.errors import InputError
from widthwise.progress import SILENT, Progress
from widthwise.report.atomic import write_bytes
from widthwise.report.figure import value_axis
from widthwise.report.gather import Gathered, gather
from widthwise.report.headline import favorite_part
from widthwise.report.inputs import read_run
from widthwise.report.palette import WIDTHS_LIGHT, width_colors
from widthwise.report.words import part_title

INK = "#14171c"
STYLE: dict[Any, Any] = {
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8b93a1",
    "axes.labelcolor": "#454c57",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": "#687080",
    "ytick.color": "#687080",
    "axes.grid": True,
    "grid.color": "#eceef1",
    "legend.frameon": False,
}


def write_picture(directory: str | Path, path: str | Path, *, progress: Progress = SILENT) -> Path:
    """A PNG of three panels: training loss, the prediction at one point, and N times the variance.

    Colored: trained networks, mean and one standard deviation over seeds. Black, dashed: theory.

    **Arguments:** a run `directory` with both theory.nc and records.zarr; `path` of the PNG.
    **Errors:** `InputError` if either file is missing or unusable, or they cannot be compared.
    """
    run = gather(read_run(directory), progress=progress)
    if run.comparison is None or run.numbers is None:
        raise InputError(
            f"{directory}: the picture needs theory and networks that can be compared. {' '.join(run.notes)}"
        )
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 3.1), layout="constrained")
        FigureCanvasAgg(figure)
        left, middle, right = figure.subplots(1, 3)
        _draw_curve(left, run, "loss", (0,), "Training loss", "loss")
        splits = point_splits(run.theory) if run.theory is not None else []
        point, kind = (splits.index("test"), "test") if "test" in splits else (0, "training")
        _draw_curve(middle, run, "prediction", (point, 0), f"Prediction at a {kind} point", "output f")
        _draw_variance(right, run)
        handles, labels = right.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=160, facecolor="white")
    write_bytes(Path(path), buffer.getvalue())
    return Path(path)


def _colors(run: Gathered) -> list[str]:
    return width_colors(WIDTHS_LIGHT, len(run.widths))


def _draw_curve(axes, run: Gathered, name: str, index: tuple[int, ...], title: str, label: str) -> None:
    assert run.theory is not None and run.numbers is not None
    for color, width in zip(_colors(run), run.widths, strict=True):
        mean, std = run.at_width(f"{name}_mean", width), run.at_width(f"{name}_std", width)
        if mean is None:
            continue
        steps, center = run.numbers["step"].to_numpy(), mean[:, *index]
        axes.plot(steps, center, color=color, linewidth=1.6)
        if std is not None:
            spread = std[:, *index]
            # On logarithmic axes the band must not reach zero.
            low = np.maximum(center - spread, 0.1 * center) if name == "loss" else center - spread
            axes.fill_between(steps, low, center + spread, color=color, alpha=0.15, linewidth=0)
    theory = run.theory_values(name)
    if theory is not None:
        axes.plot(
            run.theory["step"].to_numpy(), theory[:, *index], color=INK, linestyle=(0, (4, 3)), linewidth=1.6
        )
    scale = value_axis(label, [None if theory is None else theory[:, *index]])["type"]
    axes.set(title=title, xlabel="step", ylabel=label, yscale=scale)


def _draw_variance(axes, run: Gathered) -> None:
    assert run.numbers is not None
    part = favorite_part(run)
    here = run.numbers.sel(part=part)
    steps = here["step"].to_numpy()
    for color, width in zip(_colors(run), run.widths, strict=True):
        one = here.sel(width=width)
        axes.plot(steps, one["scaled_variance"], color=color, linewidth=1.6, label=f"{width} wide")
        low, high = (one[f"scaled_variance_{end}"].to_numpy() for end in ("low", "high"))
        axes.fill_between(steps, low, high, color=color, alpha=0.1, linewidth=0)
    axes.plot(
        steps, here["theory_scaled_variance"], color=INK, linestyle=(0, (4, 3)), linewidth=1.8, label="theory"
    )
    axes.set(title=f"{part_title(part)}: N · variance", xlabel="step", ylabel="N · variance")
    axes.set_ylim(bottom=0)


if __name__ == "__main__":
    write_picture(sys.argv[1], sys.argv[2])
