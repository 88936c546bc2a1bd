"""What claims and their numbers are called."""

from dataclasses import replace

import pytest
from audited import audit_of, row

from widthwise.report.audit import Audited, audit_text
from widthwise.report.audit.figures import audit_figures
from widthwise.report.tables import row_table
from widthwise.report.words import as_shown, measured_words, unit_of, where_words

FALLS = row(
    claim="variance_scaling", where={"until_step": 5}, estimate=0.72, interval=(0.41, 1.03), expected=1.0
)


def test_the_exponent_of_a_variance_is_negative_wherever_it_is_shown():
    """The file says a of N^-a, as the contract has it; a reader sees the power of the width."""
    assert FALLS.to_json()["estimate"] == 0.72 and FALLS.to_json()["expected"] == 1.0
    assert measured_words(FALLS) == ("N^-0.72 [-1.03, -0.41]", "N^-1")
    assert "N^-0.72 [-1.03, -0.41]  N^-1" in audit_text(audit_of(FALLS))
    cells = [cell.text for cell in row_table("", [FALLS]).rows[0]]
    assert "N^−0.72 [−1.03, −0.41]" in cells and "N^−1" in cells
    panel = audit_figures(Audited(audit_of(FALLS)))[0].views[0][0]
    traces = {trace["name"]: trace for trace in panel.data}
    assert traces["consistent"]["x"] == [-0.72] and traces["expected"]["x"] == [-1]
    assert traces["consistent"]["error_x"]["array"] == [pytest.approx(0.31)]
    assert panel.layout["xaxis"]["title"]["text"] == unit_of(FALLS) == "exponent of the width N"


def test_other_claims_are_shown_as_they_are_written():
    assert as_shown(row()) == row()
    assert measured_words(row(interval=None)) == ("N^-0.5", "N^-1")
    assert measured_words(replace(row(), estimate=None, interval=None, expected=None)) == ("-", "-")


@pytest.mark.parametrize(
    ("interval", "expected", "told"),
    [
        ((-0.72, -0.5004), -0.5, "N^-0.6000 [-0.7200, -0.5004]"),
        ((-0.72, -0.48), -0.5, "N^-0.60 [-0.72, -0.48]"),
        ((-0.72, -0.5), -0.5, "N^-0.60 [-0.72, -0.50]"),
        ((-61.0, 60.0), -0.5, "N^-1 [-61, 60]"),
    ],
)
def test_digits_suffice_to_see_whether_an_interval_leaves_out_what_is_expected(interval, expected, told):
    assert measured_words(row(estimate=-0.6, interval=interval, expected=expected))[0] == told


def test_places_are_said_in_words_and_their_units_apart():
    where = {"split": "train", "until_step": 29, "width": 16, "against": 64, "kind": "weak", "unit": "loss"}
    assert where_words(where) == (
        "training points, up to step 29, N = 16, against N = 64, infinite ensembles"
    )
    assert where_words({"kernel": "tangent", "{0}": "{1}"}) == "tangent kernel, {0} {1}"
    assert where_words({"part": "tangent_kernel", "width": 4}) == "Tangent kernel K, N = 4"
