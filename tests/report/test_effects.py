"""Layers, richness and sufficient widths on the page, against the theory they are drawn from."""

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from synthetic_run import Truth, make_records, make_theory

from widthwise.analysis import wide_enough
from widthwise.errors import InputError
from widthwise.report import write_report
from widthwise.report.gather import Gathered, gather
from widthwise.report.headline import cards, subject
from widthwise.report.inputs import RunFiles
from widthwise.report.layers import layer_figure
from widthwise.report.richness_scan import richness_figure
from widthwise.report.scatter import distance_figure
from widthwise.report.tables import matrix_table
from widthwise.report.wide import wide_table

TRUTH = Truth(seeds=6, steps=5, widths=(16, 64), layers=3, scan=(0.5, 1.0, 2.0), stderr=1e-3)


@pytest.fixture(scope="module")
def run() -> Gathered:
    """A comparison of three layers, with a scan; not to be changed."""
    records = make_records(TRUTH, np.random.default_rng(7))
    return gather(RunFiles(Path("effects"), make_theory(TRUTH), records))


def without(run: Gathered, *names: str) -> Gathered:
    return replace(run, theory=run.theory.drop_vars(names))


def upper(kernel: np.ndarray) -> np.ndarray:
    """Each pair of points once."""
    return kernel[..., *np.triu_indices(kernel.shape[-1])]


def view(figure, *choices: int):
    """The panels for a choice of every control."""
    at = 0
    for control, choice in zip(figure.controls, choices, strict=True):
        at = at * len(control.options) + choice
    return figure.views[at]


def named(panel, name: str):
    return next(t for t in panel.data if t["name"] == name and "band" not in t)


def test_the_last_step_by_layer_is_theorys_mean_over_pairs(run):
    figure = layer_figure(run)
    assert [c.options for c in figure.controls] == [
        ("Feature kernel Φ", "Gradient kernel G"),
        ("N · variance", "relative spread at N = 16", "relative spread at N = 64"),
    ]
    for choice, name in enumerate(("feature_kernel", "gradient_kernel")):
        value, variance = (upper(run.theory[f"{name}{s}"].to_numpy()[:, -1]) for s in ("", "_variance"))
        marks = named(view(figure, choice, 0)[0], "theory")
        assert marks["x"] == [1, 2, 3]
        np.testing.assert_allclose(marks["y"], variance.mean(axis=1), rtol=1e-3)
        np.testing.assert_allclose(marks["error_y"]["array"], 1e-3, rtol=1e-2)
        marks = named(view(figure, choice, 2)[0], "theory")
        expected = np.sqrt(variance.mean(axis=1) / 64 / (value**2).mean(axis=1))
        np.testing.assert_allclose(marks["y"], expected, rtol=1e-3)


def test_networks_stand_beside_theory_by_layer_and_over_steps(run):
    figure = layer_figure(run)
    scaled = {
        layer: run.numbers["scaled_variance"].sel(part=f"feature_kernel, layer {layer}")
        for layer in (1, 2, 3)
    }
    last, curves = view(figure, 0, 0)
    for width in (16, 64):
        expected = [float(scaled[layer].sel(width=width)[-1]) for layer in (1, 2, 3)]
        np.testing.assert_allclose(named(last, f"N = {width}")["y"], expected, rtol=1e-3)
    np.testing.assert_allclose(named(curves, "layer 2, N = 64")["y"], scaled[2].sel(width=64), rtol=1e-3)
    last, curves = view(figure, 0, 1)
    assert not [t for t in (*last.data, *curves.data) if "64" in t["name"]], "relative spread is at one width"
    size = np.sqrt((upper(run.theory["feature_kernel"].to_numpy()[1]) ** 2).mean(axis=1))
    expected = np.sqrt(scaled[2].sel(width=16) / 16) / size
    np.testing.assert_allclose(named(curves, "layer 2, N = 16")["y"], expected, rtol=1e-3)


def test_curves_over_steps_have_theorys_error_as_their_band(run):
    curves = view(layer_figure(run), 1, 0)[1]
    middle = np.array(named(curves, "layer 3")["y"])
    edges = [np.array(t["y"]) for t in curves.data if t["name"] == "layer 3" and "band" in t]
    np.testing.assert_allclose(edges[1] - edges[0], 2e-3, rtol=0.1)
    np.testing.assert_allclose((edges[0] + edges[1]) / 2, middle, rtol=2e-3)


def test_one_layer_has_no_panel_by_layer(run):
    one = replace(run, theory=run.theory.isel(layer=[0]))
    assert layer_figure(one).panels == ("While training",)
    assert all(len(panels) == 1 for panels in layer_figure(one).views)


def test_without_variances_of_kernels_there_is_no_figure_of_layers(run):
    assert layer_figure(without(run, "feature_kernel_variance", "gradient_kernel_variance")) is None
    assert layer_figure(without(run, "feature_kernel_variance")).controls[0].options == ("Gradient kernel G",)


def test_signal_to_noise_is_that_of_one_network(run):
    figure = richness_figure(run)
    assert figure.controls[0].options == ("train points", "test points") and figure.controls[0].initial == 1
    for choice, points in enumerate((slice(0, 2), slice(2, 4))):
        here = run.theory.isel(point=points)
        signal = np.sqrt((here["scan_prediction"] ** 2).mean(("point", "output")))
        noise = np.sqrt(here["scan_prediction_variance"].mean(("point", "output")) / 64)
        panel = view(figure, choice)[0]
        assert named(panel, "N = 64")["x"] == [0.5, 1, 2]
        np.testing.assert_allclose(named(panel, "N = 64")["y"], signal / noise, rtol=1e-3)
        # 2 % of the value and half of 2 % of the variance
        np.testing.assert_allclose(
            named(panel, "N = 64")["error_y"]["array"], 0.03 * signal / noise, rtol=1e-2
        )
        best = named(panel, "best richness")
        assert best["x"] == [1, 1]
        np.testing.assert_allclose(best["y"][1], (signal / noise).max(), rtol=1e-3)


def test_the_mean_loss_at_a_width_is_loss_and_shift_over_n(run):
    panel = view(richness_figure(run), 1)[1]
    loss, shift = (run.theory[f"scan_loss{s}"].to_numpy()[:, 1] for s in ("", "_shift"))
    for width in (16, 64):
        np.testing.assert_allclose(named(panel, f"N = {width}")["y"], loss + shift / width, rtol=1e-3)
    np.testing.assert_allclose(named(panel, "infinite width")["y"], loss, rtol=1e-3)
    marked = [(0.5, 1, 2)[int(np.argmin(v))] for v in (loss, loss + shift / 16, loss + shift / 64)]
    assert named(panel, "best richness")["x"] == marked and len(set(marked)) > 1


def test_the_caption_names_the_best_richness_and_an_end_of_the_scan(run):
    caption = richness_figure(run).caption
    assert "Best richness on test points: signal to noise: 1; mean loss at N = 16: 0.5, the end of" in caption
    assert "loss at infinite width: 2, the end of the scan" in caption


def test_without_shifts_the_loss_is_said_to_be_that_of_infinite_width(run):
    figure = richness_figure(without(run, "scan_loss_shift", "scan_loss_shift_stderr"))
    assert "the mean shift at width N was not computed" in figure.caption
    assert figure.panels[1] == "Loss, infinite width"
    assert {t["name"] for t in view(figure, 0)[1].data} == {"infinite width", "best richness"}


def test_a_richness_that_diverged_is_missing_and_never_best(run):
    theory = run.theory.copy(deep=True)
    for name in ("prediction", "loss"):
        for suffix in ("", "_stderr", "_variance", "_variance_stderr", "_shift", "_shift_stderr"):
            theory[f"scan_{name}{suffix}"][1] = np.nan
    panel = view(richness_figure(replace(run, theory=theory)), 0)[0]
    assert named(panel, "N = 16")["y"][1] is None
    assert 1 not in named(panel, "best richness")["x"]


def test_without_a_scan_there_is_no_figure_of_it(run):
    names = [name for name in run.theory if name.startswith("scan_")]
    assert richness_figure(without(run, *names, "richness")) is None


@pytest.mark.parametrize("tolerance", [0.01, 0.1])
def test_the_table_holds_a_row_for_every_part_and_the_seeds_of_every_width(run, tolerance):
    table = wide_table(replace(run, tolerance=tolerance))
    texts = [[cell.text for cell in row] for row in table.rows]
    rows = wide_enough(run.theory, tolerance, (16, 64))
    assert [row[0] for row in texts][4:8] == [
        "Feature kernel Φ, layer 1", "Feature kernel Φ, layer 2", "Feature kernel Φ, layer 3",
        "Gradient kernel G, layer 1",
    ]  # fmt: skip
    assert table.columns[5:] == ("Seeds at N\u00a0=\u00a016", "Seeds at N\u00a0=\u00a064")
    assert sum(row.spread_last is not None for row in rows) > 6
    for shown, row in zip(texts, rows, strict=True):
        for cell, exact in zip(shown[1:5:2], (row.spread_last, row.shift_last), strict=True):
            if exact is None:  # a loss that is not resolved from zero
                assert cell == "–"
                continue
            given = float(cell.replace(",", ""))
            least = max(exact.width, 1)
            assert least * (1 - 1e-9) <= given < max(1.11 * least, least + 1), "rounded up"
        assert shown[2].endswith(f"(step {row.spread_worst.step})")
    assert f"{100 * tolerance:g} %" in table.title


def test_what_was_not_computed_is_said_and_what_is_unknown_at_the_end_is_a_dash(run):
    table = wide_table(without(run, "loss_shift"))
    assert [cell.text for cell in table.rows[2][3:5]] == ["not computed", "not computed"]
    theory = run.theory.copy(deep=True)
    theory["loss"][-1] = np.nan
    row = [cell.text for cell in wide_table(replace(run, theory=theory)).rows[2]]
    assert row[1] == "–" and "(step " in row[2] and row[5:] == ["–", "–"]


def test_the_tolerance_is_asked_for_when_the_report_is_written(make_run):
    directory = make_run(records=False)
    assert "How wide for 1 %?" in write_report(directory).read_text()
    assert "How wide for 0.25 %?" in write_report(directory, tolerance=0.0025).read_text()
    with pytest.raises(InputError, match="`tolerance` = 0:"):
        write_report(directory, tolerance=0.0)


def test_cells_of_several_widths_say_at_how_many_of_them(run):
    texts = {(cell.verdict, cell.text) for row in matrix_table(run).rows for cell in row[1:]}
    words = {"consistent": "agrees at", "underpowered": "undecided at", "inconsistent": "disagrees at"}
    words["described"] = "in its interval at"
    counted = [(verdict, text) for verdict, text in texts if "width" in text]
    assert counted
    for verdict, text in counted:
        assert re.fullmatch(rf"{words[verdict]} ([01] of 2 widths|all 2 widths|the one width)", text)


@pytest.mark.parametrize(("steps", "words"), [(100, "99 steps of"), (2, "1 step of"), (1, "0 steps of")])
def test_a_hundred_recorded_steps_are_ninety_nine_updates(run, steps, words):
    study = replace(run.study, training=replace(run.study.training, steps=steps))
    assert f"; {words} gradient descent" in subject(replace(run, study=study))


def test_cards_have_the_digits_that_their_intervals_allow(run):
    numbers = run.numbers.copy(deep=True)
    for name, value in (
        ("variance_scaling", 1.0987),
        ("variance_scaling_low", 0.0806),
        ("variance_scaling_high", 2.114),
    ):
        numbers[name][:] = value
    shown = {card.label: card for card in cards(replace(run, numbers=numbers))}
    card = shown["N · variance, networks over theory"]
    assert card.value == "1.1" and card.detail.startswith("[0.1, 2.1], ")


def test_the_table_is_escaped(make_run):
    evil = "<b>layer</b>"
    directory = make_run(records=False)
    theory = xr.load_dataset(directory / "theory.nc", engine="h5netcdf")
    layers = np.array([evil, "2", "3"], dtype=object)
    theory.assign_coords(layer=("layer", layers)).to_netcdf(directory / "theory.nc", engine="h5netcdf")
    page = write_report(directory).read_text()
    rows = re.findall(r'<span class="value">(Feature kernel[^/]*layer.*?)</span>', page)
    assert evil in unescape(rows[0]) and evil not in rows[0]


def test_the_dashed_line_is_theorys_distance_of_one_network_at_the_compared_steps(run):
    theory = run.theory.isel(step=run.theory["step"].isin(run.numbers["step"]))
    at = np.flatnonzero(theory["split"] == "test")
    variance, shift = (theory[f"prediction{s}"].to_numpy()[:, at] for s in ("_variance", "_shift"))
    figure = distance_figure(run)
    (panel,) = view(figure, list(run.numbers["part"].to_numpy()).index("prediction, test"))
    widths = np.array(figure.axes["dense"])
    expected = np.sqrt(variance.mean() / widths + (shift**2).mean() / widths**2)
    np.testing.assert_allclose(
        named(panel, "theory, single network")["y"], expected, rtol=5e-4
    )  # four digits
    assert np.ptp(expected) > 0
    (panel,) = view(distance_figure(without(run, "prediction_variance")), 1)
    assert all(trace["name"] != "theory, single network" for trace in panel.data)
