"""Where the leading order in 1/N is not to be trusted: said in words, never hidden."""

import numpy as np
import xarray as xr

from widthwise.study import Study
from widthwise.wording import percent

SMALL = 0.1  # a relative correction above this is not small
POINTS_SHARE = 0.5  # training points over width from which the limit N >> P is left
RICH = 3.0  # richness from which late times ask for care
NOISE_SHARE = 0.1  # numerical error over the correction it belongs to


def validity_warnings(
    theory: xr.Dataset, study: Study, train: int, sites: int, *, by_networks: bool = False
) -> list[str]:
    """One sentence a warning, naming the width or step it concerns; empty when there is none.

    `sites`: how many were used for the fluctuations; `by_networks`, whether networks replaced derivatives.
    """
    narrow = min(study.ensemble.widths)
    checks = (
        _large_variance(theory, narrow),
        _large_shift(theory, narrow),
        _long_time(theory, study, narrow, train),
        _many_points(train, narrow),
        _rich_and_late(theory, study),
        *_noisy(theory, sites, by_networks),
    )
    return [warning for warning in checks if warning]


def _large_variance(theory: xr.Dataset, narrow: int) -> str:
    if "prediction_variance" not in theory:
        return ""
    scale = _mean_square(theory["prediction"])
    spread = float(theory["prediction_variance"].mean(("point", "output")).max("step")) / narrow
    if not scale or not np.isfinite(scale) or spread <= SMALL * scale:
        return ""
    return (
        f"At N = {narrow} the spread of the predictions reaches {percent(np.sqrt(spread / scale), 1)} of "
        "their root mean square over all points and steps: leading order in 1/N is rough there; trust the "
        "wider networks."
    )


def _large_shift(theory: xr.Dataset, narrow: int) -> str:
    if "prediction_shift" not in theory:
        return ""
    scale = np.sqrt(_mean_square(theory["prediction"]))
    shift = float((theory["prediction_shift"] ** 2).mean(("point", "output")).max("step")) ** 0.5 / narrow
    if not scale or not np.isfinite(scale) or shift <= SMALL * scale:
        return ""
    return (
        f"At N = {narrow} the mean shift of the predictions reaches {percent(shift / scale, 1)} of their "
        "root mean square over all points and steps: the next order in 1/N matters there."
    )


def _long_time(theory: xr.Dataset, study: Study, narrow: int, train: int) -> str:
    """kappa t^2 / N, weighted by how much of the residual is left to be moved."""
    if "tangent_kernel_variance" not in theory or "prediction" not in theory:
        return ""
    trained = {"point": slice(0, train)}
    kappa = theory["tangent_kernel_variance"].isel(trained | {"point_b": slice(0, train)})
    diagonal = np.einsum("tpp->t", kappa.transpose("step", ...).to_numpy()) / train
    residual = (theory["target"] - theory["prediction"]).isel(trained)
    remaining = (residual**2).mean(("point", "output")).to_numpy()
    rate = study.training.point_rate(train)
    grown = (
        diagonal * (rate * theory["step"].to_numpy()) ** 2 * remaining / max(remaining[0], 1e-300) / narrow
    )
    worst = int(np.argmax(np.nan_to_num(grown)))
    if not grown[worst] > 1:
        return ""
    return (
        f"At N = {narrow} the kernel's fluctuations have acted for so long by step "
        f"{int(theory['step'][worst])} (N Var K t^2 / N = {grown[worst]:.1f}) that leading order may fail."
    )


def _many_points(train: int, narrow: int) -> str:
    if train <= POINTS_SHARE * narrow:
        return ""
    return (
        f"{train} training points against width {narrow}: the theory holds for widths well above the number "
        "of points, so compare the wider networks."
    )


def _rich_and_late(theory: xr.Dataset, study: Study) -> str:
    if study.network.richness < RICH or "prediction_variance" not in theory:
        return ""
    variance = theory["prediction_variance"].mean(("point", "output")).to_numpy()
    if not variance[-1] < 1e-3 * np.nanmax(variance):
        return ""
    return (
        f"At richness {study.network.richness:g} the predictions' leading-order variance has died out by the "
        "last steps; higher orders in 1/N can dominate there."
    )


def _noisy(theory: xr.Dataset, sites: int, by_networks: bool) -> list[str]:
    finer = f"set theory.fluctuation_sites above the {sites} used, or raise theory.scramblings"
    remedy, found = "raise theory.scramblings" if by_networks else finer, []
    for name in theory.data_vars:
        error = f"{name}_stderr"
        if not str(name).endswith(("_variance", "_shift")) or error not in theory:
            continue
        size, noise = np.sqrt(_mean_square(theory[name])), np.sqrt(_mean_square(theory[error]))
        if size > 0 and noise > NOISE_SHARE * size:
            found.append(f"The numerical error of {name} is {percent(noise / size, 1)} of it: {remedy}.")
    return found


def _mean_square(values: xr.DataArray) -> float:
    finite = values.to_numpy()[np.isfinite(values.to_numpy())]
    return float(np.mean(finite**2)) if finite.size else 0.0
