"""Rows that describe: numbers that are known beforehand, and no say in the verdict."""

from dataclasses import replace

import numpy as np
import pytest
from description_rows import ROOT, RUN, dataset, rows_of
from scipy import special, stats
from synthetic_records import WIDTHS, correct_records

from widthwise.audit import AuditSettings, audit, run
from widthwise.records.schema import QUANTILE_LEVELS


def test_descriptions_change_no_test(seed, monkeypatch):
    records = correct_records(np.random.default_rng(seed))
    told = audit(records)
    silent = {name: replace(claim, descriptions=()) for name, claim in run.CLAIMS.items()}
    monkeypatch.setattr(run, "CLAIMS", silent)
    bare = audit(records)
    judged = [[r.to_json() for r in found.rows if r.p_value is not None] for found in (told, bare)]
    assert judged[0] == judged[1] and len(told.rows) > len(bare.rows)
    assert told.verdict == bare.verdict


# Variance


def saturating(rng, amplified):
    """Predictions whose variance goes as 1/N at early steps and, if `amplified`, as a constant late."""
    steps = np.array([0, 1, 2, 4, 8, 16, 32, 64])
    spread = np.broadcast_to(ROOT[..., None, None] ** -1.0, (len(WIDTHS), 1, len(steps), 1, 1)).copy()
    spread[:, :, 5:] = 10.0 if amplified else spread[:, :, 5:]
    noise = spread * rng.standard_normal((len(WIDTHS), 12, len(steps), 30, 1))
    return dataset(steps, 12, prediction=((*RUN, "point", "output"), 1.0 + noise))


def test_differences_that_saturate_are_described_and_not_judged(seed):
    """Amplified a hundred times over they outweigh all else, and no law of the width is to blame."""
    found = audit(saturating(np.random.default_rng(seed), amplified=True), claims=["variance_scaling"])
    early, late = sorted(found.rows, key=lambda row: row.judges, reverse=True)
    assert found.verdict == "consistent" and early.where == {"until_step": 8}
    assert early.estimate == pytest.approx(1.0, abs=0.15)
    assert not late.judges and late.where == {"step": 64} and late.estimate == pytest.approx(0.0, abs=0.15)


def test_a_variance_that_never_falls_is_inconsistent(seed):
    records = saturating(np.random.default_rng(seed), amplified=False)
    flat = records.assign(prediction=1.0 + (records["prediction"] - 1.0) * np.sqrt(records["width"]))
    assert audit(flat, claims=["variance_scaling"]).verdict == "inconsistent"
    late = flat.isel(step=[7])
    assert audit(late, claims=["variance_scaling"]).verdict == "inconsistent", "of what there is"


def test_a_readout_that_begins_at_zero_is_judged_later(seed):
    """Nothing varies at the only early step."""
    records = saturating(np.random.default_rng(seed), amplified=False).isel(step=[0, 6, 7])
    zero = records.assign(prediction=records["prediction"].where(records["step"] > 0, 0.0))
    row = next(r for r in audit(zero, claims=["variance_scaling"]).rows if r.judges)
    assert row.where == {"until_step": 64} and row.estimate == pytest.approx(1.0, abs=0.2)


# Infinite width


def functions_of(rng, power, *, noise=0.005, seeds=6):
    """Mean functions 1 + 4 N^-power at each of 40 points, and independent noise of each network."""
    means = 1 + 4.0 * np.array(WIDTHS, dtype=float) ** -power
    noise = noise * rng.standard_normal((len(WIDTHS), seeds, 2, 40, 1))
    return dataset(
        [0, 1], seeds, prediction=((*RUN, "point", "output"), means[:, None, None, None, None] + noise)
    )


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_the_widest_is_foretold_where_gaps_fall_as_one_over_n(seed, power):
    records = functions_of(np.random.default_rng(seed), power)
    f = dict(zip(WIDTHS, 1 + 4.0 * np.array(WIDTHS, dtype=float) ** -power, strict=True))
    row = rows_of(records, "predictions", "distance from infinite width")[128]
    assert row.estimate == pytest.approx((f[64] - f[128]) / f[128], abs=0.01)
    assert row.interval[0] <= row.estimate <= row.interval[1]
    row = rows_of(records, "predictions", "foretold from narrower ones")[128]
    missed = abs(1.5 * f[64] - 0.5 * f[32] - f[128]) / f[128]
    assert row.estimate == pytest.approx(missed, abs=0.01) and row.interval[0] <= missed <= row.interval[1]
    assert (missed == 0) == (power == 1.0) and (row.interval[0] == 0) == (power == 1.0)


def test_two_widths_or_single_seeds_foretell_nothing(seed):
    records = functions_of(np.random.default_rng(seed), 1.0)
    for few in (records.isel(width=[0, 1]), records.isel(seed=[0])):
        assert not rows_of(few, "predictions", "distance from infinite width")


def test_the_onset_is_that_of_the_gap_to_infinite_width(seed):
    """Losses 1 + 2 t/N: N = 16 leaves the limit by 5 % of the loss after t = 0.4; the widest, 128, by 0.05
    after t = 3.2, which it could not do from itself."""
    rng, time = np.random.default_rng(seed), np.linspace(0, 4, 81)
    loss = 1 + 2 * time / np.array(WIDTHS)[:, None, None] + 1e-4 * rng.standard_normal((4, 6, 81))
    settings = AuditSettings(onset=0.05)
    records = dataset(np.arange(81), loss=(RUN, loss))
    found = {r.where["width"]: r.estimate for r in audit(records, claims=["onset"], settings=settings).rows}
    assert found == pytest.approx({16: 9, 32: 17, 64: 33, 128: 65}, abs=1)
    three = audit(records.isel(width=[0, 1, 2]), claims=["onset"], settings=settings).rows
    assert {r.where["reference"] for r in three} == {"N = 64"} and len(three) == 2


# Classes


def class_records(rng, *, common=0.0, points=60, named=True):
    """Logits of three classes: networks of width N flip the class of a share 4/N of the points; `common`,
    noise that all logits of a point share."""
    truth = rng.integers(3, size=points)
    logits = np.zeros((len(WIDTHS), 6, 2, points, 3))
    for index, width in enumerate(WIDTHS):
        flips = rng.random((6, points)) < 4 / width
        chosen = np.where(flips, (truth + 1) % 3, truth)
        logits[index, :, 1] = 3.0 * np.eye(3)[chosen]
    logits += 0.1 * rng.standard_normal(logits.shape) / ROOT[..., None, None]
    logits += common * rng.standard_normal(logits.shape[:-1])[..., None]
    target = np.eye(3)[truth]
    loss = -(target * special.log_softmax(logits, axis=-1)).sum(axis=-1).mean(axis=-1)
    records = dataset(
        [0, 1],
        prediction=((*RUN, "point", "output"), logits),
        target=(("point", "output"), target),
        loss=(RUN, loss),
    )
    return records.assign_attrs(loss="cross_entropy") if named else records


@pytest.mark.parametrize("named", [True, False])
def test_networks_disagree_on_the_share_of_points_that_were_flipped(seed, named):
    """Whether the records name their loss, or it is found from losses, outputs and targets."""
    records = class_records(np.random.default_rng(seed), points=400, named=named)
    found = rows_of(records, "predictions", "other class", step=1, against=128)
    assert list(found) == [16, 32, 64] or set(found) == {16, 32, 64}
    for width, row in found.items():
        p, q = 4 / width, 4 / 128
        assert row.estimate == pytest.approx(p + q - 2 * p * q, abs=0.05)
        assert row.expected == pytest.approx(p * (1 - p) + q * (1 - q), abs=0.05)
        assert row.interval[0] <= row.estimate <= row.interval[1]


def test_probabilities_differ_by_their_divergence(seed):
    records = class_records(np.random.default_rng(seed))
    row = rows_of(records, "predictions", "class probabilities")[16]
    p, q = (special.softmax(records["prediction"].to_numpy()[w, :, 1], axis=-1) for w in (0, -1))
    apart = [
        (stats.entropy(a, (a + b) / 2, axis=-1) + stats.entropy(b, (a + b) / 2, axis=-1)).mean() / 2
        for a in p
        for b in q
    ]
    assert row.estimate == pytest.approx(np.mean(apart))


def test_a_common_part_of_logits_counts_in_nothing(seed):
    """It would bury the gaps of means in noise; of squared errors it is a part of the prediction."""
    rng = np.random.default_rng(seed)
    records = class_records(rng, common=0.0)
    noisy = records.assign(
        prediction=records["prediction"] + 50 * rng.standard_normal((len(WIDTHS), 6, 2, 60, 1))
    )
    plain, shifted = (
        [row.resolution for row in audit(r, claims=["predictions"]).rows if row.p_value is not None]
        for r in (records, noisy)
    )
    np.testing.assert_allclose(shifted, plain, rtol=1e-6)
    squared = audit(noisy.assign_attrs(loss="mse"), claims=["predictions"]).rows
    assert min(row.resolution for row in squared if row.judges) > 3 * max(plain)


def test_squared_errors_have_no_classes(seed):
    records = class_records(np.random.default_rng(seed)).drop_attrs()
    assert not rows_of(records.assign(loss=records["loss"] * 2), "predictions", "other class")
    assert not rows_of(records.assign_attrs(loss="mse"), "predictions", "other class")


# Large rates


def test_marks_of_the_edge_are_those_of_the_curves(seed):
    """Sharpness that rises by 0.02 a step (at the narrowest, 0.01) and hovers at 2 from step 50 on (100)."""
    rng, steps = np.random.default_rng(seed), np.arange(0, 201, 10)
    slope = np.where(np.array(WIDTHS) == 16, 0.01, 0.02)[:, None, None]
    curves = np.minimum(1.001 + slope * steps, 2.05) + 0 * np.zeros((4, 6, 1))
    curves = curves * (1 + 1e-6 * rng.standard_normal((4, 6, 1)))
    records = dataset(steps, sharpness=(RUN, curves), loss=(RUN, np.exp(-curves)))
    found = rows_of(records, "large_rate", "progressive sharpening")
    assert found[16].estimate == pytest.approx(0.01, rel=0.01)
    assert found[32].estimate == pytest.approx(0.02, rel=0.01) == found[32].expected
    crossing = rows_of(records, "large_rate", "first crossing")
    assert (crossing[16].estimate, crossing[16].expected) == (100, 50)
    edge = rows_of(records, "large_rate", "at the edge of stability")
    assert edge[16].estimate == pytest.approx((curves[0, 0] > 1.8).mean())
    assert edge[16].expected == pytest.approx((curves[-1, 0] > 1.8).mean())


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_the_interval_of_a_mean_over_networks_is_students(seed, alpha):
    steps = np.arange(0, 400, 10)
    slopes = np.random.default_rng(seed).uniform(0.005, 0.02, (4, 6, 1))
    curves = 1.001 + slopes * steps
    records = dataset(steps, sharpness=(RUN, curves), loss=(RUN, np.exp(-curves)))
    rows = audit(records, alpha=alpha, claims=["large_rate"]).rows
    (row,) = [r for r in rows if (r.where["quantity"], r.where.get("width")) == ("first crossing", 16)]
    crossing = steps[np.argmax(curves[0] > 2, axis=1)]
    expected = stats.t.interval(1 - alpha, 5, crossing.mean(), stats.sem(crossing))
    np.testing.assert_allclose(row.interval, expected)


def test_the_threshold_follows_the_optimizer(seed):
    steps = np.arange(0, 100, 10)
    curves = np.broadcast_to(0.05 * steps, (4, 6, 10)) * (0.999 + 1e-6 * np.arange(6)[:, None])
    study = '{"training": {"optimizer": "momentum", "momentum": 0.5, "an older key": 1}}'
    records = dataset(steps, sharpness=(RUN, curves.copy()), loss=(RUN, np.exp(-curves)))
    row = rows_of(records.assign_attrs(study=study), "large_rate", "first crossing")[16]
    assert row.estimate == 70, "3.0 is crossed between steps 60 and 70"


def test_catapults_and_spikes(seed):
    """One spike that all networks share, one of each narrow network alone: half of the spikes."""
    rng, steps = np.random.default_rng(seed), np.arange(30)
    loss = np.exp(-0.05 * steps) + 1e-3 * rng.standard_normal((4, 6, 30))
    loss[:, :, 20] *= 8
    loss[0, :, 10] *= 3
    found = rows_of(dataset(steps, batch_loss=(RUN, loss)), "large_rate", "spikes of one alone")
    assert found[16].estimate == pytest.approx(0.5) and found[32].estimate == found[32].expected == 0
    ratio = rows_of(dataset(steps, batch_loss=(RUN, loss)), "large_rate", "catapult ratio")
    assert ratio[32].estimate == pytest.approx(8 * np.exp(-1), rel=0.01)
    calm = dataset(steps, batch_loss=(RUN, np.exp(-0.05 * steps) + 0 * loss))
    assert not rows_of(calm, "large_rate", "catapult ratio")


# Distributions


def quantile_records(rng, law, seeds=8):
    """Quantiles of N neurons of each network, at 3 points, drawn from `law(rng, width, size)`."""
    values = np.stack(
        [np.quantile(law(rng, width, (width, seeds, 1, 1, 3)), QUANTILE_LEVELS, axis=0) for width in WIDTHS]
    )
    values = np.moveaxis(values, 1, -1)
    return dataset(
        [0],
        seeds,
        preactivation_quantile=((*RUN, "layer", "point", "quantile"), values),
        loss=(RUN, 1 + 0.01 * rng.standard_normal((4, seeds, 1))),
    ).assign_coords(quantile=list(QUANTILE_LEVELS))


def test_equal_distributions_are_as_far_apart_as_noise(seed):
    """The floor is the mean distance of 30 ensembles of one law within 25 %, which a floor of one width alone
    or of halves as they stand (a factor 2) would miss."""
    found = []
    for rng in np.random.default_rng(seed).spawn(30):
        records = quantile_records(rng, lambda rng, width, size: rng.standard_normal(size))
        row = rows_of(records, "preactivations", "Wasserstein-1")[64]
        found.append((row.estimate, row.expected))
    measured, floor = np.array(found).T
    assert np.std(measured) / np.sqrt(30) < 0.05 * np.mean(measured)
    assert np.mean(floor) == pytest.approx(np.mean(measured), rel=0.25)


def test_a_wider_spread_is_measured_in_standard_deviations(seed):
    """N(0, 1.5) from N(0, 1): 0.5 sqrt(2 / pi) of them."""
    rng = np.random.default_rng(seed)
    records = quantile_records(
        rng, lambda rng, width, size: rng.standard_normal(size) * (1 + 0.5 * (width == 64))
    )
    found = rows_of(records, "preactivations", "Wasserstein-1")
    assert found[64].estimate == pytest.approx(0.5 * np.sqrt(2 / np.pi), abs=0.08)
    assert found[64].expected < 0.1 < found[64].estimate


def test_shapes_of_the_narrowest_stand_beside_the_widest(seed):
    """Exponential at the narrowest: skewness 2, of which recorded levels show most; else Gaussian."""

    def law(rng, width, size):
        return rng.exponential(size=size) if width == 16 else rng.standard_normal(size)

    records = quantile_records(np.random.default_rng(seed), law, seeds=24)
    skewness = rows_of(records, "preactivations", "skewness")[16]
    assert 1.2 < skewness.estimate < 2.2 and abs(skewness.expected) < 0.2
    assert skewness.interval[0] < skewness.estimate < skewness.interval[1]
    kurtosis = rows_of(records, "preactivations", "excess kurtosis")[16]
    assert kurtosis.estimate > 1 and abs(kurtosis.expected) < 0.4
    spread = rows_of(records, "preactivations", "standard deviation")[16]
    assert spread.estimate == pytest.approx(1, abs=0.15) and spread.expected == 1


# Limits


def loss_records(rng, noise=1e-4):
    """L_N(t) = exp(-t / 10) (1 + (4 / N) t / 20)."""
    steps = np.arange(21)
    width = np.array(WIDTHS, dtype=float)[:, None, None]
    loss = np.exp(-steps / 10) * (1 + 4 / width * steps / 20)
    loss = loss * (1 + noise * rng.standard_normal((4, 6, 1)) / ROOT)
    return dataset(steps, loss=(RUN, loss))


def test_losses_and_rates_go_to_their_limits(seed):
    records = loss_records(np.random.default_rng(seed))
    limit = rows_of(records, "loss_curves", "infinite width")[None]
    assert limit.estimate == pytest.approx(np.exp(-2), rel=1e-3)
    assert limit.interval[0] < np.exp(-2) < limit.interval[1] or limit.interval[1] - limit.interval[0] < 1e-3
    assert "as N^-1 " in limit.advice
    rate = rows_of(records, "training_rate", "infinite width")[None]
    assert rate.estimate == pytest.approx(0.1, rel=2e-3) and rate.expected < 0.1
    assert rate.interval[0] < rate.estimate < rate.interval[1]


def test_gaps_are_relative_to_the_loss_now_and_at_first(seed):
    records = loss_records(np.random.default_rng(seed))
    rows = [r for r in audit(records, claims=["loss_curves"]).rows if r.where.get("quantity") == "gap"]
    values = {row.where["unit"]: row.estimate for row in rows}
    gap = 4 / 16 - 4 / 128
    assert values["over the loss now"] == pytest.approx(gap / (1 + 4 / 128), rel=0.01)
    assert values["over the initial loss"] == pytest.approx(gap * np.exp(-2), rel=0.01)


def test_wider_is_not_worse_where_the_gap_has_that_sign(seed):
    records = loss_records(np.random.default_rng(seed), noise=1e-9)
    assert rows_of(records, "loss_curves", "wider is not worse")[None].estimate == 1
    turned = records.assign_coords(width=list(WIDTHS)[::-1])
    assert rows_of(turned, "loss_curves", "wider is not worse")[None].estimate == 0


def test_single_networks_scatter_as_the_root_of_the_width(seed):
    records = correct_records(np.random.default_rng(seed), seeds=12)
    rows = [r for r in audit(records, claims=["feature_kernel"]).rows if r.p_value is None]
    assert len(rows) == 2
    for row in rows:
        assert row.interval[0] < -0.5 < row.interval[1] and row.interval[1] - row.interval[0] < 0.4


# Thin and broken records

THIN = {
    "one width": lambda r: r.isel(width=[0]),
    "two widths": lambda r: r.isel(width=[0, 3]),
    "one seed": lambda r: r.isel(seed=[0]),
    "one seed at one width": lambda r: r.where((r["width"] > 16) | (r["seed"] == 0)),
    "one step": lambda r: r.isel(step=[0]),
    "two steps": lambda r: r.isel(step=[0, 8]),
    "copies of one seed": lambda r: r.isel(seed=[0, 0, 0]).assign_coords(seed=[0, 1, 2]),
    "constant": lambda r: r.map(lambda v: v * 0 + 1),
    "zero": lambda r: r.map(lambda v: v * 0),
    "negative": lambda r: r.map(lambda v: -v),
    "all but the loss not finite": lambda r: r.map(lambda v: v if v.name == "loss" else v * np.nan),
    "one network not finite": lambda r: r.map(
        lambda v: v if v.name == "loss" else v.where((r["width"] > 16) | (r["seed"] > 0))
    ),
    "huge": lambda r: r.map(lambda v: v * 1e60),
    "no labels": lambda r: r.drop_vars("quantile"),
    "levels that fall": lambda r: r.isel(quantile=slice(None, None, -1)),
}


@pytest.fixture(scope="module")
def everything():
    """Correct records with quantiles, sharpness, entropies and batches beside the others."""
    rng = np.random.default_rng(7)
    records = correct_records(rng).drop_vars("diverged_at")
    steps = records.sizes["step"]
    quantiles = stats.norm.ppf(QUANTILE_LEVELS) + 0.1 * rng.standard_normal((4, 6, steps, 2, 3, 1))
    return records.assign(
        preactivation_quantile=((*RUN, "layer", "point_of_layer", "quantile"), quantiles),
        sharpness=(RUN, 1.5 + np.cumsum(rng.random((4, 6, steps)), axis=2) / 5),
        attention_entropy=((*RUN, "block", "head"), rng.random((4, 6, steps, 1, 2))),
        batch_loss=(RUN, records["loss"].to_numpy()[..., 0] * rng.uniform(0.3, 3, (4, 6, steps))),
    ).assign_coords(quantile=list(QUANTILE_LEVELS))


@pytest.mark.parametrize("name", THIN)
def test_thin_records_are_described_as_far_as_they_go(everything, name):
    """No traceback, no number that is not plain, and no verdict that the tests would not give."""
    renamed = everything["preactivation_quantile"].rename(point_of_layer="point").isel(point=[0, 1, 2])
    records = everything.drop_vars("preactivation_quantile").isel(point=[0, 1, 2], point_b=[0, 1, 2])
    thin = THIN[name](records.assign(preactivation_quantile=renamed))
    target = records["target"]
    found = audit(thin.assign(target=target) if "target" in thin else thin)
    assert found.verdict != "inconsistent" or name in ("negative", "huge")
    for row in found.rows:
        numbers = [row.estimate, row.expected, *(row.interval or ())]
        assert all(number is None or isinstance(number, float) for number in numbers), row
