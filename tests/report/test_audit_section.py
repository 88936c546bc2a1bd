"""The page's section on an audit, its files, and what names from records may not do to them."""

import csv
import io
import json
import re
from dataclasses import replace
from functools import cache
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from audited import EVIDENCE, HOSTILE, audit_of, gaps_of, records_of, row
from synthetic_records import correct_records

from widthwise.audit import audit
from widthwise.audit.gap_series import differences, distances
from widthwise.errors import InputError
from widthwise.report import write_report
from widthwise.report.audit import Audited, Sources, audit_text, junit_xml, read_verdict, write_verdict
from widthwise.report.audit.exports import rows_csv
from widthwise.report.audit.figures import audit_figures, ensemble_figure, gap_figure
from widthwise.report.tables import tensor_table


@cache
def with_targets():
    """Correct records of predictions and their targets."""
    return correct_records(np.random.default_rng(3))[["loss", "prediction", "target", "diverged_at"]]


def drawn_in(directory, **drawn):
    """The content of a file with gaps or ensembles."""
    return json.loads(write_verdict(Audited(replace(MIXED, **drawn)), directory).read_text())


def read_back(directory, **changed):
    """The audit of a file, some keys of which are changed."""
    path = directory / "verdict.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    return read_verdict(path).audit


CONTROL = "a\x00b\x1b[31m\ud800"


def page_of(directory, found, **sources):
    write_verdict(Audited(found, Sources(**sources)), directory)
    return write_report(directory).read_text()


def figures_in(page):
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def csv_in(page, name="audit"):
    link = re.search(rf'<a id="download-{name}" href="data:text/csv;charset=utf-8,([^"]*)"', page)
    assert link is not None
    return list(csv.DictReader(io.StringIO(unquote(link[1]))))


MIXED = audit_of(
    row("inconsistent", name="hidden"),
    row("underpowered", "predictions", where={"step": 9}, estimate=None, interval=None, p_value=None),
    row("consistent", name="readout"),
    row("consistent", name="hidden", step=4),
    untested=[("attention", "the records have no `attention`: record it")],
    summary=["N = 32 tracks the limit within 1 % until step 400."],
)


def test_an_audit_alone_makes_a_page(tmp_path):
    page = page_of(tmp_path, MIXED, paths=("logs.csv",), notes=("steps 3 are left out",))
    for text in (
        "The networks do not scale consistently with width.",
        "N = 32 tracks the limit within 1 % until step 400.",
        "the records have no <code>attention</code>: record it",
        "steps 3 are left out",
        "logs.csv",
    ):
        assert text in page
    assert '<section id="verdicts">' not in page, "no theory is asked for"
    assert set(figures_in(page)) == {"audit-0"}, "what has no estimate is not drawn"


def test_a_report_without_an_audit_has_no_such_section(run_directory):
    page = (run_directory / "report.html").read_text()
    assert '<section id="audit">' not in page and "download-audit" not in page


def test_theory_and_audit_share_a_page(make_run):
    directory = make_run()
    page = page_of(directory, MIXED)
    assert page.index('<section id="audit">') < page.index('<section id="training">')
    assert '<section id="verdicts">' in page and "audit: widths" in page


def test_all_rows_can_be_downloaded(tmp_path):
    found = csv_in(page_of(tmp_path, MIXED))
    assert [line["verdict"] for line in found] == [r.verdict for r in MIXED.rows]
    assert found[0]["tensor"] == "hidden" and float(found[0]["low"]) == -0.6
    assert found[1]["estimate"] == "" and found[1]["step"] == "9"


def test_tensors_are_sorted_by_their_worst_row():
    rows = (row(name="a"), row("underpowered", name="b"), row("inconsistent", name="c"), row(name="b"))
    table = tensor_table(rows)
    assert table.columns == ("Tensor or layer", "Verdict", "Size of updates (RMS)", "What it says")
    assert [line[0].text for line in table.rows] == ["tensor c", "tensor b", "tensor a"]
    assert [line[1].verdict for line in table.rows] == ["inconsistent", "underpowered", "consistent"]
    assert table.rows[0][2].text == "N^−0.50 (N^−1)"


def test_figures_draw_estimates_with_their_intervals():
    figure = audit_figures(Audited(audit_of(row("inconsistent"), row())))[0]
    traces = {trace["name"]: trace for trace in figure.views[0][0].data}
    assert set(traces) == {"inconsistent", "consistent", "expected"}
    assert traces["inconsistent"]["x"] == [-0.5] and traces["expected"]["x"] == [-1, -1]
    assert traces["inconsistent"]["error_x"]["array"] == [0.1]
    assert traces["consistent"]["y"] == [1], "the worst is on top"


@pytest.mark.parametrize("name", [HOSTILE, "<img src=x onerror=alert(1)>", "@bad", "</script><i>", '"><b>'])
def test_names_stay_text_everywhere(tmp_path, name):
    found = audit_of(
        row("inconsistent", claim=name, name=name, advice=name),
        row("inconsistent", name=name),
        untested=[(name, name)],
        summary=[name],
    )
    page = page_of(tmp_path, found, paths=(name,), notes=(name,))
    if "<" in name:
        assert name not in re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    labels = [
        label
        for figure in figures_in(page).values()
        for label in figure["views"][0][0]["layout"]["yaxis"]["ticktext"]
    ]
    assert labels and not any("<" in label or "@" in label for label in labels)
    assert csv_in(page)[0]["advice"].lstrip("'") == name


def test_no_cell_of_the_download_is_a_formula():
    text = rows_csv([row(name="=cmd()", advice="@sum", claim="+x")])
    (found,) = csv.DictReader(io.StringIO(text))
    assert (found["tensor"], found["advice"], found["claim"]) == ("'=cmd()", "'@sum", "'+x")
    assert float(found["estimate"]) == -0.5, "numbers stay numbers"


def test_terminals_and_xml_get_no_control_characters(tmp_path):
    found = audit_of(row("inconsistent", name=CONTROL, advice=CONTROL), untested=[("x", CONTROL)])
    text = audit_text(found)
    assert all(character.isprintable() or character == "\n" for character in text)
    root = ElementTree.fromstring(junit_xml(found))
    assert [case.get("name") for case in root.iter("testcase")] == [
        "tensor a?b?[31m?, size of updates (RMS), step 0",
        "not tested",
    ]
    page_of(tmp_path, found)


def test_junit_counts_what_it_holds():
    root = ElementTree.fromstring(junit_xml(MIXED))
    assert {name: root.get(name) for name in ("tests", "failures", "skipped")} == {
        "tests": "5",
        "failures": "1",
        "skipped": "2",
    }
    failure = root.find(".//failure")
    assert failure is not None and failure.get("message") == MIXED.rows[0].advice


def test_a_verdict_is_read_as_it_was_written(tmp_path):
    gaps = gaps_of(records_of("correct"))
    whole = replace(MIXED, gaps=gaps, ensembles=audit(with_targets()).ensembles)
    written = Audited(whole, Sources(("a", "b"), ("note",)))
    found = read_verdict(write_verdict(written, tmp_path))
    assert found.audit.verdict == "inconsistent" and found == written
    assert (found.audit.gaps, found.audit.ensembles) == (whole.gaps, whole.ensembles)
    assert found.text() == written.text()


def test_numbers_that_are_not_finite_are_null(tmp_path):
    found = audit_of(row(estimate=np.inf, interval=(-np.inf, np.nan), where={"step": np.inf}))
    content = write_verdict(Audited(found), tmp_path).read_text()
    assert "Infinity" not in content and "NaN" not in content
    assert read_verdict(tmp_path / "verdict.json").audit.rows[0].estimate is None
    write_report(tmp_path)


def test_every_number_can_be_downloaded(tmp_path):
    gaps, ensembles = gaps_of(records_of("correct")), audit(with_targets()).ensembles
    assert gaps is not None and ensembles is not None
    page = page_of(tmp_path, replace(MIXED, gaps=gaps, ensembles=ensembles))
    lines = csv_in(page, "gaps")
    assert len(lines) == len(gaps.gaps) * len(gaps.widths) * len(gaps.steps)
    last = next(
        x for x in lines if (x["quantity"], x["width"], x["step"]) == ("loss", "32", str(gaps.steps[-1]))
    )
    loss = records_of("correct")["loss"].to_numpy()[..., -1, 0].mean(axis=1)
    assert float(last["gap"]) == pytest.approx(loss[1] / loss[3] - 1, rel=1e-3)
    assert float(last["size"]) == pytest.approx(loss[3], rel=1e-3)
    lines = csv_in(page, "ensembles")
    assert [line["networks"] for line in lines[:7]] == ["1", "2", "3", "4", "5", "6", "infinite"]
    assert float(lines[6]["low"]) < float(lines[6]["loss"]) < float(lines[6]["high"])


def test_losses_of_ensembles_are_those_of_means_over_seeds():
    """By hand, of 1/2 the squared error; and the limit without the variance's share of what is left."""
    records, ensembles = with_targets(), audit(with_targets()).ensembles
    assert ensembles is not None and ensembles.widths == (16, 32, 64, 128)
    f, y = records["prediction"].to_numpy()[:, :, -1], records["target"].to_numpy()
    single = 0.5 * ((f - y) ** 2).sum(axis=-1).mean(axis=(1, 2))
    whole = 0.5 * ((f.mean(axis=1) - y) ** 2).sum(axis=-1).mean(axis=1)
    assert [curve[0] for curve in ensembles.curves] == pytest.approx(single.tolist(), rel=1e-3)
    assert [curve[-1] for curve in ensembles.curves] == pytest.approx(whole.tolist(), rel=1e-3)
    variance = 0.5 * f.var(axis=1, ddof=1).sum(axis=-1).mean(axis=1)
    assert ensembles.infinite == pytest.approx((whole - variance / 6).tolist(), rel=1e-3)


def test_ensembles_survive_their_file_and_strange_ones_are_none(tmp_path):
    ensembles = audit(with_targets()).ensembles
    assert ensembles is not None
    content = drawn_in(tmp_path, ensembles=ensembles)["ensembles"]
    assert read_back(tmp_path, ensembles=content).ensembles == ensembles
    for strange in (None, [], {}, content | {"widths": [0, 1, 2, 3]}, content | {"curves": [[1.0]]}):
        assert read_back(tmp_path, ensembles=strange).ensembles is None
    assert read_back(tmp_path, ensembles=content | {"infinite": ["x"] * 4}).ensembles is None
    assert audit(with_targets().drop_vars("prediction")).ensembles is None


def test_ensembles_are_compared_at_equal_networks_neurons_or_parameters():
    ensembles = audit(with_targets()).ensembles
    assert ensembles is not None
    figure = ensemble_figure(ensembles)
    assert len(figure.views) == len(figure.controls[0].options) == 3
    second = [next(t["x"] for t in view[0].data if t["name"] == "N = 32") for view in figure.views]
    assert [x[1] for x in second] == [2, 64, 2048]


def test_gaps_of_losses_are_shown_over_the_initial_loss_too():
    gaps = gaps_of(records_of("correct"))
    assert gaps is not None
    figure = gap_figure(gaps)
    steps = len(gaps.steps)
    assert len(figure.views) == 2 * steps and figure.controls[0].options == (
        "the loss now",
        "the initial loss",
    )
    loss = records_of("correct")["loss"].to_numpy()[..., 0].mean(axis=1)
    means = [
        next(t["y"] for t in figure.views[index][1].data if t["name"] == "mean over seeds")
        for index in (steps - 1, 2 * steps - 1)
    ]
    assert means[0][0] == pytest.approx(loss[0, -1] / loss[3, -1] - 1, rel=2e-3)
    assert means[1][0] == pytest.approx((loss[0, -1] - loss[3, -1]) / loss[3, 0], rel=2e-3)
    first = [[t["y"] for t in figure.views[at][0].data] for at in (0, steps)]
    assert first[0] == first[1], "predictions may begin at zero: theirs stay relative to what they are"


def test_a_step_is_readable_beside_one_with_gaps_a_hundred_times_as_large():
    """Predictions of a zero readout begin at zero, and their relative gaps with huge ones."""
    gaps = gaps_of(records_of("correct"))
    assert gaps is not None
    steps = len(gaps.steps)
    plain = [[0.5 + 0.05 * step for step in range(steps)] for _ in gaps.widths]
    huge = [[1e4, *row[1:]] for row in plain]
    ends = []
    for rows in (plain, huge):
        one = replace(gaps.gaps[0], gap=rows, single=rows, noise=plain)
        assert one.quantity == "prediction"
        views = gap_figure(replace(gaps, gaps=(one,))).views
        ends.append([view[0].layout["yaxis"]["range"][1] for view in views])
    assert ends[0] == ends[0][:1] * steps and ends[0][0] > plain[0][-1]
    assert ends[1][0] > 1e4 and all(row < end < 2 for row, end in zip(plain[0][1:], ends[1][1:], strict=True))


def test_rows_of_different_units_are_not_drawn_on_one_axis():
    share = row(where={"quantity": "x", "unit": "share of steps"}, p_value=None, estimate=0.7, judges=False)
    figure = audit_figures(Audited(audit_of(row("inconsistent"), share, row())))[0]
    assert figure.controls[0].options == ("Exponent of the width N", "Share of steps")
    names = [{trace["name"] for trace in view[0].data} for view in figure.views]
    assert names == [{"inconsistent", "consistent", "expected"}, {"described", "expected"}]
    assert "1 of 2 tests fails." in figure.caption


def test_descriptions_are_not_called_consistent(tmp_path):
    told = row(where={"quantity": "x"}, p_value=None, claim="onset", judges=False)
    page = page_of(tmp_path, audit_of(row(), told))
    assert page.count('<span class="chip described">described</span></td>') == 1
    assert [line["kind"] for line in csv_in(page)] == ["test", "description"]


BROKEN = {
    "no JSON": "{",
    "a list": "[]",
    "another schema": '{"schema": 2}',
    "no claims": '{"schema": 1, "evidence": {}, "claims": {}}',
    "a strange verdict": json.dumps(
        {"schema": 1, "evidence": {}, "claims": [{"claim": "x", "verdict": "fine", "where": {}}]}
    ),
    "a text for a number": json.dumps(
        {
            "schema": 1,
            "evidence": EVIDENCE,
            "claims": [{"claim": "x", "verdict": "consistent", "where": {}, "estimate": "many"}],
        }
    ),
    "deep": "[" * 10_000,
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_verdict_is_refused(tmp_path, case):
    (tmp_path / "verdict.json").write_text(BROKEN[case])
    with pytest.raises(InputError, match="is no verdict of an audit"):
        write_report(tmp_path)


def test_distances_do_not_count_the_noise_of_means(seed):
    # Means are equal: with 400 repetitions the mean square lies within 5 standard errors of zero.
    rng = np.random.default_rng(seed)
    apart = []
    for _ in range(400):
        narrow, wide = 2 + rng.standard_normal((6, 40)), 2 + 0.5 * rng.standard_normal((6, 40))
        gap, noise, single = distances([narrow, wide])
        assert gap[1] == noise[1] == 0
        apart.append(((narrow.mean(0) - wide.mean(0)) ** 2).mean() - 4.0 * noise[0] ** 2)
        assert single[0] > single[1]
    apart = np.array(apart) / 4
    assert apart.std() / 20 < 0.01, "too few to see a bias of 0.05"
    assert abs(apart.mean()) < 0.05


def test_differences_of_losses_are_signed_and_relative():
    gap, noise, single = differences([np.array([3.0, 5.0]), np.array([2.0, 2.0])])
    np.testing.assert_allclose(gap, [1.0, 0.0])
    np.testing.assert_allclose(noise, [0.5, 0.0])
    np.testing.assert_allclose(single, [np.sqrt(4 + 2) / 2, 0.0])


def test_gaps_fall_with_width_and_survive_their_file(tmp_path):
    gaps = gaps_of(records_of("correct"))
    assert gaps is not None and gaps.widths == (16, 32, 64, 128) and gaps.steps[-1] == 128
    assert [gap.quantity for gap in gaps.gaps] == ["prediction", "loss"]
    single = [row[-1] for row in gaps.gaps[0].single]
    assert single[0] > single[1] > single[2], "one network comes closer as the width grows"
    content = drawn_in(tmp_path, gaps=gaps)["gaps"]
    assert content["reference"] == 128 and set(content["quantities"][0]) >= {"gap", "noise", "single", "size"}
    assert read_back(tmp_path).gaps == gaps


@pytest.mark.parametrize("content", [None, [], {}, {"widths": [1, 2], "steps": [0], "quantities": [{}]}])
def test_strange_gaps_are_none(tmp_path, content):
    drawn_in(tmp_path)
    assert read_back(tmp_path, gaps=content).gaps is None


def test_a_diverged_network_is_left_out_from_there_on():
    records = records_of("correct").copy(deep=True)
    records["loss"][0, 0, 4:] = np.nan
    records["prediction"][0, 0, 4:] = np.nan
    whole, left = gaps_of(records_of("correct")), gaps_of(records)
    assert whole is not None and left is not None
    assert left.gaps[0].gap[0][:4] == whole.gaps[0].gap[0][:4]
    assert left.gaps[0].noise[0][4:] != whole.gaps[0].noise[0][4:]
    assert None not in left.gaps[0].gap[0]


def test_one_width_has_no_gaps():
    assert gaps_of(records_of("correct").isel(width=[0])) is None
    assert gaps_of(records_of("correct")[["weight_rms", "diverged_at"]]) is None
