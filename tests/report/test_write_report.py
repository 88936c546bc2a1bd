"""The report as a file: what it needs, what it holds, what it refuses."""

import json
import re

import numpy as np
import plotly.offline
import pytest
import xarray as xr
import zarr
from synthetic_run import STUDY, Truth
from zarr.codecs import Crc32cCodec

from widthwise.errors import InputError
from widthwise.records.read import damage_reported
from widthwise.report import write_report

MOST_BYTES = 8_000_000


def embedded(page, name):
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


@pytest.fixture(scope="module")
def page(run_directory):
    return (run_directory / "report.html").read_text()


def test_plotly_is_embedded_once(page):
    assert page.count(plotly.offline.get_plotlyjs()[:4000]) == 1


def test_nothing_is_loaded_from_elsewhere(page):
    own = page.replace(plotly.offline.get_plotlyjs(), "")
    assert not re.search(r"(?:src|href)\s*=\s*[\"'](?!#|data:)", own)
    assert not re.search(r"@import|url\(", own)


def test_every_figure_and_section_is_there(page):
    assert set(embedded(page, "figures")) == {
        "loss", "prediction", "layers", "ratios", "variance", "distance", "richness", "kernels",
    }  # fmt: skip
    for anchor in ("verdicts", "validity", "evidence", "study"):
        assert f'<section id="{anchor}">' in page


def test_evidence_and_warnings_are_shown(page):
    for text in ("ab" * 32, "cd" * 32, "ef" * 32, "0123456789abcdef", "float64", "float32", "0.10.2", "3.21"):
        assert text in page
    assert "P/N = 0.5 at width 32" in page


def test_the_study_reads_as_toml(page):
    assert "[network]" in page
    assert "hidden_layers = 1" in page
    assert "centered = true" in page


def test_verdicts_can_be_downloaded_in_the_contracts_form(page):
    rows = embedded(page, "verdict-rows")
    assert rows
    for row in rows:
        assert {"claim", "verdict", "estimate", "interval", "expected", "where", "advice"} <= set(row)
        assert row["verdict"] in ("consistent", "inconsistent", "underpowered")


def test_curves_are_the_datas(page, run_directory):
    import xarray as xr

    figure = embedded(page, "figures")["loss"]
    traces = {t["name"]: t for t in figure["views"][0][0]["data"] if not t.get("band")}
    theory = xr.open_dataset(run_directory / "theory.nc", engine="h5netcdf")
    records = xr.open_zarr(run_directory / "records.zarr", consolidated=False)
    np.testing.assert_allclose(traces["infinite width"]["y"], theory["loss"][:, 0], rtol=1e-3)
    mean = records["loss"].sel(width=32).mean("seed")[:, 0]
    np.testing.assert_allclose(traces["N = 32"]["y"], mean, rtol=1e-3)


def test_theorys_band_for_one_width_is_shift_and_variance_over_n(page, run_directory):
    import xarray as xr

    figure = embedded(page, "figures")["prediction"]
    shows = figure["controls"][-1]["options"]
    assert shows == ["all widths", "N = 16", "N = 32", "N = 64"]
    view = figure["views"][0 * len(shows) + 2][0]["data"]
    lines = [t for t in view if t["name"] == "theory at N = 32"]
    low, high = (np.array(t["y"]) for t in lines if t["line"]["dash"] == "dot")
    theory = xr.open_dataset(run_directory / "theory.nc", engine="h5netcdf").isel(point=0, output=0)
    center = theory["prediction"] + theory["prediction_shift"] / 32
    np.testing.assert_allclose((low + high) / 2, center, atol=2e-3)
    np.testing.assert_allclose((high - low) / 2, np.sqrt(theory["prediction_variance"] / 32), atol=2e-3)


def test_difference_of_kernels_is_networks_minus_theory(page):
    for view in embedded(page, "figures")["kernels"]["views"]:
        theory, networks, difference = (np.array(panel["data"][0]["z"]) for panel in view)
        np.testing.assert_allclose(difference, networks - theory, atol=1e-2)


def test_theory_alone_makes_a_report(make_run):
    directory = make_run(records=False)
    page = write_report(directory).read_text()
    assert "No networks were trained yet" in page
    assert set(embedded(page, "figures")) == {"loss", "prediction", "layers", "richness", "kernels"}
    assert page.count("need trained networks: <code>widthwise train STUDY.toml --out DIR</code>") == 1
    shows = embedded(page, "figures")["loss"]["controls"][-1]["options"]
    assert shows == ["infinite width", "N = 32", "N = 64", "N = 128", "N = 256"], "the study's widths"


def test_records_alone_make_a_report(make_run):
    directory = make_run(theory=False)
    page = write_report(directory).read_text()
    assert "Theory was not solved yet" in page and "How wide" not in page
    assert page.count("need theory: <code>widthwise theory STUDY.toml --out DIR</code>") == 1
    assert set(embedded(page, "figures")) == {"loss", "prediction", "kernels"}


def test_a_theory_of_another_study_is_left_aside_with_a_note(make_run):
    other = {**STUDY, "network": {**STUDY["network"], "richness": 2.0}}
    directory = make_run(study=json.dumps(other))
    page = write_report(directory).read_text()
    assert "theory.nc is left aside: <code>network.richness</code> = 2.0 in theory and 1.0 in records" in page
    assert set(embedded(page, "figures")) == {"loss", "prediction", "kernels"}, "networks alone"
    assert "infinite width" not in json.dumps(embedded(page, "figures")["loss"])


def test_files_that_nothing_says_belong_together_are_not_compared(make_run):
    bare = lambda records: records.drop_vars("target").drop_attrs()  # noqa: E731
    page = write_report(make_run(change=bare)).read_text()
    assert "theory.nc is left aside: neither a study nor targets" in page
    assert "infinite width" not in json.dumps(embedded(page, "figures")["loss"])


def test_a_theory_without_a_shared_step_is_shown_but_not_compared(make_run):
    later = lambda records: records.assign_coords(step=records["step"] + 1000)  # noqa: E731
    page = write_report(make_run(change=later)).read_text()
    assert "could not be compared: theory and records share no step" in page


@pytest.mark.parametrize(
    "truth",
    [
        Truth(seeds=1, steps=3, train=2, test=1, widths=(16, 32)),
        Truth(seeds=4, steps=3, train=2, test=0, widths=(16,)),
        Truth(seeds=4, steps=1, train=1, test=0, widths=(16, 32), kernels=False, scan=(2.0,)),
        Truth(seeds=3, steps=3, widths=(16, 32), layers=2, shifts=False, scan=(1.0, 2.0)),
    ],
    ids=["one seed", "one width, no test points", "one step, one point", "no shifts"],
)
def test_the_smallest_runs_make_a_report(make_run, truth):
    assert "loss" in embedded(write_report(make_run(truth=truth)).read_text(), "figures")


def test_diverged_and_untrained_networks_are_reported(make_run):
    def change(records):
        for name in ("prediction", "loss", "feature_kernel", "tangent_kernel"):
            records[name].loc[{"width": 16}] = np.nan
        records["diverged_at"][0] = 1
        records["done"][1, 5] = False
        records["loss"][1, 5] = np.nan
        return records

    page = write_report(make_run(change=change)).read_text()
    assert "12 of 36 networks diverged" in page
    assert "35 of 36 networks are trained" in page


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_kernels_of_a_theory_that_diverged_at_once_still_make_a_report(make_run, bad):
    directory = make_run()
    theory = xr.load_dataset(directory / "theory.nc", engine="h5netcdf")
    theory["tangent_kernel"][:] = bad
    theory.to_netcdf(directory / "theory.nc", engine="h5netcdf")
    kernels = embedded(write_report(directory).read_text(), "figures")["kernels"]
    bounds = [panel["data"][0]["zmax"] for view in kernels["views"] for panel in view]
    assert all(np.isfinite(bounds)) and all(bound > 0 for bound in bounds)


def test_a_damaged_chunk_is_named_with_what_mends_it(tmp_path):
    path = tmp_path / "records.zarr"
    with pytest.raises(InputError, match=r"records\.zarr is damaged .* train again"), damage_reported(path):
        array = zarr.create_array(
            path / "x", shape=(4,), chunks=(4,), dtype="float64", compressors=[Crc32cCodec()]
        )
        array[:] = 1.0
        (chunk,) = (path / "x" / "c").iterdir()
        chunk.write_bytes(b"\0" + chunk.read_bytes()[1:-1] + b"\0")
        array[:]


def test_names_are_escaped_everywhere(make_run):
    evil = '</script><script>alert("1")</script><b>'
    study = {**STUDY, "data": {**STUDY["data"], "kind": evil}}
    directory = make_run(
        theory=True, records=False, study=json.dumps(study), commit=evil, warnings=json.dumps([evil])
    )
    page = write_report(directory).read_text()
    assert evil not in page
    assert "<b>" not in page.replace(plotly.offline.get_plotlyjs(), "")
    assert "&lt;/script&gt;" in page


def test_an_empty_directory_names_the_command_to_run(tmp_path):
    with pytest.raises(InputError, match="widthwise run"):
        write_report(tmp_path)


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere is not a directory"):
        write_report(tmp_path / "nowhere")


def test_a_theory_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "theory.nc").write_text("not netCDF")
    with pytest.raises(InputError, match="cannot be read as netCDF"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_netcdf_of_something_else_is_refused(tmp_path):
    import xarray as xr

    xr.Dataset({"temperature": ("time", np.ones(3))}).to_netcdf(tmp_path / "theory.nc", engine="h5netcdf")
    with pytest.raises(InputError, match=r"no theory\.nc"):
        write_report(tmp_path)


def test_records_of_another_kind_are_refused(tmp_path):
    (tmp_path / "records.zarr").mkdir()
    with pytest.raises(InputError, match="not a record store"):
        write_report(tmp_path)


def test_a_report_that_cannot_be_written_leaves_the_old_one(run_directory, monkeypatch):
    before = (run_directory / "report.html").read_text()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(InputError, match="No space left on device"):
        write_report(run_directory)
    assert (run_directory / "report.html").read_text() == before
    assert not list(run_directory.glob(".report.html.*"))


@pytest.mark.slow
def test_the_digits_study_stays_small(make_run):
    """Two 24 x 24 kernels, 100 steps, four widths; seeds do not matter to the size."""
    truth = Truth(seeds=4, steps=100, train=16, test=8)
    assert write_report(make_run(truth=truth)).stat().st_size < MOST_BYTES


@pytest.mark.slow
def test_many_points_do_not_make_a_large_page(make_run):
    truth = Truth(seeds=2, steps=6, train=90, test=38, widths=(16, 32))
    assert write_report(make_run(truth=truth)).stat().st_size < MOST_BYTES
