"""Order 1/N that does not fit: said before anything is solved, with what does fit; infinite width is kept."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from commands import call

import widthwise as ww
from widthwise.fluctuations import require_corrections
from widthwise.infinite_width.solution_memory import DoesNotFit
from widthwise.observables import without_corrections

USABLE = "widthwise.infinite_width.solution_memory.usable_bytes"


@pytest.fixture(scope="module")
def points():
    rng = np.random.default_rng(3)
    return ww.Points(rng.standard_normal((6, 4)), rng.standard_normal((6, 1)), 4)


def study(depth, steps=20, **training):
    return ww.Study(
        name="large",
        network=ww.NetworkSettings(hidden_layers=depth),
        training=ww.TrainingSettings(steps=steps, **training),
        theory=ww.TheorySettings(sites=64, scramblings=2),
    )


def followed(advice, wanted, points):
    """The study and the points that a refusal says do fit."""
    if sites := re.search(r"`theory.fluctuation_sites` = (\d+)", advice):
        wanted = replace(wanted, theory=replace(wanted.theory, fluctuation_sites=int(sites[1])))
    if steps := re.search(r"(\d+) steps \(`training.steps`\)", advice):
        wanted = replace(wanted, training=replace(wanted.training, steps=int(steps[1])))
    if count := re.search(r"(\d+) points fit", advice):
        keep = int(count[1])
        points = ww.Points(points.inputs[:keep], points.targets[:keep], min(points.train, keep))
    return wanted, points


@pytest.mark.parametrize("usable", [1e8, 1e7, 3e6, 1e6, 3e5])
@pytest.mark.parametrize("optimizer", ["gd", "gradient_flow"])
@pytest.mark.parametrize("depth", [1, 3])
def test_what_a_refusal_advises_does_fit(depth, optimizer, usable, points, monkeypatch):
    monkeypatch.setattr(USABLE, lambda: usable)
    wanted = study(depth, steps=200, optimizer=optimizer)
    try:
        require_corrections(wanted, points)
    except DoesNotFit as refused:
        advice = str(refused).split("may be used: ")[1]
        again = followed(advice, wanted, points)
        if again[0] == wanted and again[1] is points:
            assert advice == "take a smaller network and fewer points" and usable <= 1e6
        else:
            require_corrections(*again)
    else:
        assert usable >= 1e7, "a bound that refuses nothing tests nothing"


def test_infinite_width_is_kept_and_a_warning_says_what_would_fit(points, monkeypatch):
    limit = ww.solve_infinite_width(study(1), points=points)
    monkeypatch.setattr(USABLE, lambda: 3e6)
    theory = ww.solve_fluctuations(limit)
    assert "prediction_stderr" in theory and not [n for n in theory if n.endswith(("variance", "shift"))]
    (warning,) = [each for each in json.loads(theory.attrs["warnings"]) if "left out" in each]
    assert warning == without_corrections(limit.study, points) and "theory.fluctuation_sites` = " in warning
    np.testing.assert_array_equal(theory["prediction"], limit.values.prediction)


def test_what_only_the_number_of_modes_tells_keeps_infinite_width_too(points, monkeypatch):
    limit = ww.solve_infinite_width(study(1), points=points)
    small = replace(study(1).theory, fluctuation_sites=64)
    limit = replace(limit, study=replace(limit.study, theory=small))
    monkeypatch.setattr(USABLE, lambda: 1.3e6)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert without_corrections(limit.study, points) == ""
    warnings = json.loads(ww.solve_fluctuations(limit).attrs["warnings"])
    assert any("left out" in each and "modes" in each for each in warnings)


def test_the_command_says_it_first_and_writes_infinite_width(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(USABLE, lambda: 1e6)
    (tmp_path / "s.toml").write_text('[study]\nname = "s"\n[training]\nsteps = 3\n[theory]\nsites = 64\n')
    result = call("theory", "s.toml", "--out", "out")
    assert result.exit_code == 0, result.output
    assert 0 < result.stderr.index("left out for want of memory") < result.stderr.index("infinite width:")
    with ww.read_theory(tmp_path / "out" / "theory.nc") as theory:
        assert "loss" in theory and "loss_variance" not in theory
