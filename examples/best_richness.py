"""The richness that minimizes the predicted test loss at N = 100: `python examples/best_richness.py`.

Twelve noisy values of a linear function in five dimensions, one hidden tanh layer, 25 steps, outputs not
centered. A rich network begins to fit the noise; a lazy one of finite width pays for its random start, a
variance proportional to 1 / (richness^2 N). The mean test loss at width N is loss + loss_shift / N, and
`ww.differentiate` gives its derivative, whose zero is found by bracketing. It takes about a minute:

    best richness 0.381 at infinite width, 0.488 at N = 100
    test loss at N = 100, predicted and of 2048 networks:   0.00611  0.00616 +- 0.00005   at 0.381
                                                            0.00564  0.00566 +- 0.00003   at 0.488
                                                            0.00969  0.00967 +- 0.00003   at 0.977
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.optimize import brentq

import widthwise as ww

WIDTH, SEEDS = 100, 2048


def noisy_line(train: int = 12, test: int = 32, dimension: int = 5, noise: float = 0.7) -> ww.Points:
    """y = x_1 on the sphere |x|^2 = D, the training values with noise."""
    rng = np.random.default_rng(1)
    inputs = rng.standard_normal((train + test, dimension))
    inputs *= np.sqrt(dimension) / np.linalg.norm(inputs, axis=1, keepdims=True)
    targets = inputs[:, :1].copy()
    targets[:train] += noise * rng.standard_normal((train, 1))
    return ww.Points(inputs, targets, train)


POINTS = noisy_line()
STUDY = ww.Study(
    name="best-richness",
    network=ww.NetworkSettings(activation="tanh", centered=False),
    training=ww.TrainingSettings(learning_rate=0.5, steps=26, reduction="mean"),
    theory=ww.TheorySettings(sites=1024, fluctuation_sites=256, scramblings=4, observables=("loss",)),
    ensemble=ww.EnsembleSettings(widths=(WIDTH,), seeds=SEEDS, seeds_per_cell=256),
    record=ww.RecordSettings(steps=(25,), quantities=("loss",)),
)


def at(richness: float) -> ww.Study:
    """The study at another richness."""
    return replace(STUDY, network=replace(STUDY.network, richness=richness))


def test_loss(richness: float, width: float) -> tuple[float, float]:
    """Predicted mean test loss at the last step at this width, and its derivative by the richness."""
    found = ww.differentiate(at(richness), "richness", points=POINTS, fluctuations=np.isfinite(width))
    last = found.isel(step=-1, split=1)
    value, slope = float(last["loss"]), float(last["loss_derivative"])
    if np.isfinite(width):
        value += float(last["loss_shift"]) / width
        slope += float(last["loss_shift_derivative"]) / width
    return value, slope


def best_richness(width: float) -> float:
    """Where the derivative of the predicted test loss vanishes."""

    def slope_at(logarithm: float) -> float:
        richness = float(np.exp(logarithm))
        value, slope = test_loss(richness, width)
        print(
            f"  N = {width:<5g} richness {richness:.4f}: test loss {value:.5f}, slope {slope:+.5f}",
            flush=True,
        )
        return slope * richness

    return float(np.exp(brentq(slope_at, np.log(0.2), np.log(1.0), xtol=2e-3)))


def trained(richness: float, folder: Path) -> tuple[float, float]:
    """Mean test loss of networks of this width at the last step, and its standard error."""
    records = ww.train_ensemble(at(richness), folder / f"{richness:.6f}.zarr", points=POINTS)
    losses = records["loss"].isel(width=0, step=-1, split=1).to_numpy()
    return float(losses.mean()), float(losses.std(ddof=1) / np.sqrt(len(losses)))


def main() -> None:
    """Find both minima, train networks at three richnesses and print the table."""
    limit = best_richness(np.inf)
    finite = best_richness(WIDTH)
    print(f"best richness: {limit:.3f} at infinite width, {finite:.3f} at N = {WIDTH}")
    print(f"\n{'richness':>9} {'infinite width':>15} {f'predicted N={WIDTH}':>16} {SEEDS} networks")
    with tempfile.TemporaryDirectory() as folder:
        for richness in (limit, finite, 2 * finite):
            networks, error = trained(richness, Path(folder))
            values = (test_loss(richness, width)[0] for width in (np.inf, WIDTH))
            print(
                f"{richness:9.3f} {'{:15.5f} {:16.5f}'.format(*values)} {networks:.5f} +- {error:.5f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
