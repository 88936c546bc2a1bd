"""One self-contained page from a run directory: `write_report` is where a reader begins."""

from collections.abc import Sequence
from pathlib import Path

from widthwise.analysis.wide_enough import TOLERANCE
from widthwise.progress import SILENT, Progress
from widthwise.records.read import damage_reported
from widthwise.report.atomic import write_bytes
from widthwise.report.audit.figures import audit_figures
from widthwise.report.audit.tables import audit_part
from widthwise.report.audit.verdict_file import Audited
from widthwise.report.curves import loss_figure, prediction_figure
from widthwise.report.gather import Gathered, gather
from widthwise.report.headline import missing_words
from widthwise.report.inputs import read_run
from widthwise.report.kernel_maps import kernel_figure
from widthwise.report.layers import layer_figure
from widthwise.report.page import Section, render
from widthwise.report.ratios import ratio_figure
from widthwise.report.richness_scan import richness_figure
from widthwise.report.scatter import distance_figure, variance_figure
from widthwise.report.wide import wide_table

SECTIONS = (
    ("training", "Training", (loss_figure, prediction_figure)),
    ("finite-width", "Finite width", (layer_figure, ratio_figure, variance_figure, distance_figure)),
    ("richness-section", "Richness", (richness_figure,)),
    ("kernels-section", "Kernels", (kernel_figure,)),
)
TABLES = {"finite-width": wide_table}
NEED_BOTH = {"finite-width": "Measured scatter, ratios of networks to theory, and exponents"}


def write_report(
    directory: str | Path,
    *,
    audited: Audited | None = None,
    widths: Sequence[int] = (),
    tolerance: float = TOLERANCE,
    progress: Progress = SILENT,
) -> Path:
    """Write `report.html` into a run directory, from its theory.nc, its records.zarr, its verdict.json, or
    what there is of them.

    The page holds everything it needs, works offline, and adapts to phones and to dark mode.

    **Arguments:** `audited`, the audit of these files, if it is at hand: the page shows what it measured;
    `widths` that theory is shown at beside those of networks; `tolerance`,
    how small effects of finite width should be, where the page says from which width they are.
    **Returns:** the path of the page; it replaces an older one only when complete.
    **Errors:** `InputError` if the directory holds none of these files, a file is not what its name says, the
    tolerance is none, or the page cannot be written.
    """
    files = read_run(directory, audited)
    with damage_reported(files.directory / "records.zarr"):
        run = gather(files, tolerance=tolerance, shown=tuple(widths), progress=progress)
        page = render(run, build_sections(run, progress))
    target = files.directory / "report.html"
    write_bytes(target, page.encode("utf-8", "replace"))
    return target


def build_sections(run: Gathered, progress: Progress = SILENT) -> list[Section]:
    """The figures and tables that the run has data for, by section; empty sections are left out."""
    progress.start("drawing", sum(len(makers) for _, _, makers in SECTIONS))
    sections = []
    if run.audited is not None:
        figures = audit_figures(run.audited)
        sections.append(Section("audit", "Audit", figures, audit=audit_part(run.audited)))
    for anchor, title, makers in SECTIONS:
        figures = []
        for make in makers:
            figure = make(run)
            progress.advance()
            if figure is not None:
                figures.append(figure)
        table = TABLES[anchor](run) if anchor in TABLES else None
        note = missing_words(run, NEED_BOTH[anchor]) if anchor in NEED_BOTH else ""
        if figures or table or note:
            sections.append(Section(anchor, title, figures, table, note))
    return sections
