"""The audit as a whole: with theory, from a store on a disk, of networks trained here."""

import numpy as np
import pytest
import xarray as xr
from synthetic_records import correct_records
from synthetic_run import Truth, make_records, make_theory

import widthwise as ww
from widthwise.audit import AuditSettings, audit
from widthwise.audit.ensemble_view import measure
from widthwise.audit.sentences import summarize

SMALL = {"steps": 5, "train": 1, "test": 2, "modes": 3, "kernels": False}


def test_theory_that_is_right_agrees_and_one_with_a_wrong_shift_does_not(seed):
    right = Truth(seeds=48, **SMALL)
    wrong = Truth(seeds=96, shift_factor=-1.0, steps=5)
    rng = np.random.default_rng(seed)
    agreeing = audit(make_records(right, rng), make_theory(right), alpha=0.005)
    assert agreeing.verdict != "inconsistent"
    assert any(row.claim.startswith("theory: ") for row in agreeing.rows)
    failing = audit(make_records(wrong, rng), make_theory(wrong))
    assert "theory: shift_scaling" in {r.claim for r in failing.rows if r.verdict == "inconsistent"}


def test_theory_is_the_limit_that_sentences_speak_of(seed):
    """Networks that are theory's, but for a mean shift of 3/N of the loss and scatter: each width is within
    3/N of infinite width and no nearer, and the share of the variance is theirs against theory's loss."""
    rng, widths, steps = np.random.default_rng(seed), np.array([64, 128, 256]), np.arange(0, 50, 10)
    f = np.exp(-steps / 30)[:, None, None] * np.ones((1, 4, 1))
    loss = 0.5 * f[:, :, 0] ** 2
    run = ("width", "seed", "step")
    bias, scatter = 0.02, 0.04
    own = f[None, None] + bias + scatter * rng.standard_normal((3, 40, 1, 4, 1))
    shift = (1 + 3 / widths)[:, None, None, None] * (1 + 1e-7 * rng.standard_normal((3, 40, 1, 1)))
    records = xr.Dataset(
        {
            "prediction": ((*run, "point", "output"), own),
            "loss": ((*run, "split"), loss.mean(axis=1)[:, None] * shift),
            "target": (("point", "output"), np.zeros((4, 1))),
        },
        coords={"width": widths, "seed": np.arange(40), "step": steps},
    )
    theory = xr.Dataset(
        {
            "prediction": (("step", "point", "output"), f),
            "prediction_variance": (("step", "point", "output"), 0.1 + 0 * f),
            "loss": (("step", "split"), loss.mean(axis=1)[:, None]),
            "target": (("point", "output"), np.zeros((4, 1))),
        },
        coords={"step": steps},
    )
    measured = measure(records, 0.05, AuditSettings())
    told = summarize(measured, (), theory)
    until = f"to the last step, {int(steps[-1])}."
    assert f"N = 64 tracks infinite width, as theory predicts it, within 5 % of the loss {until}" in told
    assert f"N = 256 tracks infinite width, as theory predicts it, within 2 % of the loss {until}" in told
    assert any("N = 128 tracks N = 256 within 2 %" in sentence for sentence in summarize(measured, ()))
    last = float(f[-1, 0, 0])
    share = 0.5 * scatter**2 / (0.5 * ((last + bias) ** 2 + scatter**2) - 0.5 * last**2)
    start = "Of the remaining gap of N = 64"
    (sentence,) = [s for s in told if s.startswith(start)]
    assert abs(int(sentence.split(", ")[1].split("%")[0]) / 100 - share) < 0.08 < share
    assert not any(s.startswith(start) for s in summarize(measured, ())), "the widest shares the bias"


OTHERS = {
    "another study": (
        lambda r: r.assign_attrs(study=r.attrs["study"].replace("0.1", "0.2")),
        "learning_rate",
    ),
    "no study": (lambda r: r.assign_attrs(study="{"), "is no study"),
    "other targets": (lambda r: r.drop_attrs().assign(target=2 * r["target"]), "targets"),
    "other points": (lambda r: r.isel(point=slice(0, 2)), "points in theory and 2"),
    "other steps": (lambda r: r.assign_coords(step=r["step"] + 100), "share no step"),
    "nothing known": (lambda r: r.drop_attrs().drop_vars("target"), "neither a study nor targets"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_theory_of_something_else_is_left_aside_and_said(seed, name):
    """No row is of it, and the others keep the whole of alpha, as without any theory."""
    truth, (change, why) = Truth(seeds=6, **SMALL), OTHERS[name]
    records = change(make_records(truth, np.random.default_rng(seed)))
    found, alone = audit(records, make_theory(truth)), audit(records)
    assert [row.to_json() for row in found.rows] == [row.to_json() for row in alone.rows]
    assert found.comparison is None
    assert [each.why for each in found.untested if each.claim == "theory" and why in each.why]


def test_copies_of_a_network_do_not_count_against_theory(seed):
    """Copied seeds would show too little scatter."""
    truth = Truth(seeds=6, **SMALL)
    records = make_records(truth, np.random.default_rng(seed))
    copied = records.isel(seed=[0, 1, 2, 3, 4, 5, 0, 1, 2, 3]).assign_coords(seed=np.arange(10))
    found, once = audit(copied, make_theory(truth)), audit(records, make_theory(truth))
    assert found.comparison is not None and once.comparison is not None
    assert found.comparison.numbers["seeds"].to_numpy().tolist() == [6, 6, 6, 6]
    assert [r.estimate for r in found.comparison.verdicts] == [r.estimate for r in once.comparison.verdicts]


def test_theory_is_compared_only_when_it_is_asked_for(seed):
    truth = Truth(seeds=4, **SMALL)
    records, theory = make_records(truth, np.random.default_rng(seed)), make_theory(truth)
    assert audit(records, theory, claims=["loss_curves"]).comparison is None
    only = audit(records, theory, claims=["theory"])
    assert {row.claim.partition(":")[0] for row in only.rows} == {"theory"}
    assert "there is no theory" in audit(records, claims=["theory"]).untested[0].why


def test_a_store_is_audited_as_what_is_in_memory(seed, tmp_path):
    records = correct_records(np.random.default_rng(seed))
    records.to_zarr(tmp_path / "records.zarr", zarr_format=3, consolidated=False)
    lazy = xr.open_zarr(tmp_path / "records.zarr", chunks=None, consolidated=False)
    assert [r.to_json() for r in audit(lazy).rows] == [r.to_json() for r in audit(records).rows]


def test_importing_a_file_of_the_room_leaves_the_function(seed):
    assert ww.audit(correct_records(np.random.default_rng(seed)), claims=["onset"]).rows


@pytest.mark.slow
def test_trained_networks_of_ntk_are_named_and_mean_field_passes(tmp_path):
    """Four widths of six seeds, a few steps of Adam, and the roles that training writes."""
    verdicts = {}
    for name in ("mean_field", "ntk"):
        study = ww.Study(
            name=name,
            data=ww.DataSettings(kind="digits", classes=(0, 1, 2), train=24, test=6),
            network=ww.NetworkSettings(kind="mlp", hidden_layers=2, base_width=16, parametrization=name),
            training=ww.TrainingSettings(
                optimizer="adam", batch=8, steps=8, learning_rate=0.01, reduction="mean"
            ),
            ensemble=ww.EnsembleSettings(widths=(16, 32, 64, 128), seeds=6),
        )
        verdicts[name] = ww.audit(ww.train_ensemble(study, str(tmp_path / name)))
    assert verdicts["mean_field"].verdict != "inconsistent"
    assert verdicts["ntk"].rows[0].where["rule"] == "the NTK parametrization"
