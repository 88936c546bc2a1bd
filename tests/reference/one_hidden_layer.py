"""Slow twin: infinite width and its 1/N fluctuations for one hidden layer, with every matrix explicit.

NumPy only and sharing no code with the package. Meant for at most three training points, six steps and
about a hundred sites; memory grows as sites x points^2 x (training points x outputs x steps)^2.
"""

import numpy as np
from jets import Function, Jet, constant


def reference_fluctuations(
    h0: np.ndarray,
    w0: np.ndarray,
    input_kernel: np.ndarray,
    targets: np.ndarray,
    train: int,
    *,
    phi: Function,
    dphi: Function,
    d2phi: Function,
    d3phi: Function,
    learning_rate: float,
    steps: int,
    richness: float,
    centered: bool,
) -> dict[str, np.ndarray]:
    """Squared error (1/2, summed over points and outputs), discrete gradient descent, given sites.

    The population is the plain average over the sites given. Only the residuals Delta of the training
    points at all steps feed back, so with o_i the contribution of site i to Delta and M = <do/dDelta>

        psi_i = (I - M)^-1 (o_i - <o>),     N Cov = <psi psi^T>,
        N (mean - limit) = (I - M)^-1 (<o_i' psi_i> + <o_i'' : Cov> / 2),

    and for any other average q = <a_i>: psi^q_i = a_i - <a> + <a'> psi_i, likewise its shift.

    **Arguments:** `h0` (site, point) preactivations at initialization, training points first; `w0`
    (site, output); `input_kernel` (point, point); `targets` (point, output); `train`, how many points are
    trained on; `phi` and its derivatives; steps 0 .. `steps` - 1 are recorded. For a mean-reduced loss pass
    `learning_rate` / `train` and divide the losses.

    **Returns:** for q in prediction (step, point, output); feature_kernel, gradient_kernel, tangent_kernel
    (step, point, point); loss (step, split): the entries q, q_variance, q_shift, and q_influence with a
    leading site axis, whose second moments over sites are all N Cov.
    """
    outputs = w0.shape[1]
    variables = steps * train * outputs
    h, w = constant(h0, variables), constant(w0, variables)
    contributions: dict[str, list[Jet]] = {
        name: [] for name in ("prediction", "feature_kernel", "gradient_kernel", "tangent_kernel")
    }
    residual = np.zeros((steps, train, outputs))
    rate = learning_rate * richness
    start = h
    for t in range(steps):
        features = h.through(phi, dphi, d2phi)
        slopes = h.through(dphi, d2phi, d3phi)
        prediction = (features[:, :, None] * w[:, None, :]).times(1.0 / richness)
        start = prediction if t == 0 else start
        if centered:
            prediction = prediction - start
        contributions["prediction"].append(prediction)
        gradients = slopes[:, :, None] * w[:, None, :]
        feature_kernel = features[:, :, None] * features[:, None, :]
        gradient_kernel = (gradients[:, :, None, :] * gradients[:, None, :, :]).sum(3).times(1.0 / outputs)
        contributions["feature_kernel"].append(feature_kernel)
        contributions["gradient_kernel"].append(gradient_kernel)
        contributions["tangent_kernel"].append(
            feature_kernel + gradient_kernel.times(np.broadcast_to(input_kernel, gradient_kernel.value.shape))
        )
        residual[t] = targets[:train] - prediction.value.mean(0)[:train]
        error = _residual_jet(residual, t)
        field = (gradients[:, :train] * error).sum(2)
        w = w + (features[:, :train, None] * error).sum(1).times(rate)
        h = h + _mix(field, rate * input_kernel[:, :train])
    stacked = {name: _stack(jets) for name, jets in contributions.items()}
    return _assemble(stacked, targets, train)


def _residual_jet(residual: np.ndarray, t: int) -> Jet:
    """Delta(t) of shape (1, point, output) as variables of their own."""
    steps, train, outputs = residual.shape
    unit = np.eye(residual.size).reshape(steps, train, outputs, residual.size)
    plain = constant(residual[t][None], residual.size)
    return Jet(plain.value, unit[t][None], plain.second)


def _mix(field: Jet, matrix: np.ndarray) -> Jet:
    """Sum over the point axis: (site, point_b) -> (site, point)."""
    return Jet(
        np.einsum("mn,in->im", matrix, field.value),
        np.einsum("mn,inv->imv", matrix, field.first),
        np.einsum("mn,invw->imvw", matrix, field.second),
    )


def _stack(jets: list[Jet]) -> Jet:
    """A new step axis after the site axis."""
    return Jet(*(np.stack([getattr(jet, part) for jet in jets], 1) for part in ("value", "first", "second")))


def _assemble(contributions: dict[str, Jet], targets: np.ndarray, train: int) -> dict[str, np.ndarray]:
    """Solve the linear response of Delta and read every observable off it."""
    prediction = contributions["prediction"]
    trained = prediction[:, :, :train, :].times(-1.0)
    sites, variables = len(trained.value), trained.first.shape[-1]
    own = trained.value.reshape(sites, variables)
    response = trained.first.mean(0).reshape(variables, variables)
    inverse = np.linalg.inv(np.eye(variables) - response)
    influence = (own - own.mean(0)) @ inverse.T
    covariance = influence.T @ influence / sites
    shift = inverse @ _second_order(trained, influence, covariance).reshape(variables)

    results = {}
    for name, jet in contributions.items():
        mean_slope = jet.first.mean(0)
        total = jet.value - jet.value.mean(0) + np.tensordot(influence, mean_slope, (1, -1))
        results[name] = jet.value.mean(0)
        results[f"{name}_influence"] = total
        results[f"{name}_variance"] = (total**2).mean(0)
        results[f"{name}_shift"] = mean_slope @ shift + _second_order(jet, influence, covariance)

    error = targets - results["prediction"]
    slope = -error * results["prediction_influence"]
    drift = -error * results["prediction_shift"] + 0.5 * results["prediction_variance"]
    splits = [slice(0, train), slice(train, None)] if len(targets) > train else [slice(0, train)]
    results["loss"] = np.stack([0.5 * (error[:, s] ** 2).sum((1, 2)) for s in splits], 1)
    results["loss_influence"] = np.stack([slope[:, :, s].sum((2, 3)) for s in splits], 2)
    results["loss_variance"] = (results["loss_influence"] ** 2).mean(0)
    results["loss_shift"] = np.stack([drift[:, s].sum((1, 2)) for s in splits], 1)
    return results


def _second_order(jet: Jet, influence: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """<a_i' psi_i> + <a_i'' : Cov> / 2."""
    sites = len(influence)
    return np.einsum("i...v,iv->...", jet.first, influence) / sites + 0.5 * np.einsum(
        "...vw,vw->...", jet.second.mean(0), covariance
    )
