"""Whether a request for fluctuations fits into this machine's memory, known before it is compiled."""

import os

import numpy as np

from widthwise.errors import InputError
from widthwise.infinite_width.deep_step import DeepProcess
from widthwise.infinite_width.solution_memory import DOUBLE, usable_bytes

FRESH = 4  # sites to average over for each of a population for adjoints: they cost little, and matter more
CHUNK = 4  # sites whose Jacobians are in memory at once
WORKING_COPIES = 8  # arrays (mode, site, point) alive at once: state, its successor, Taylor terms


def response_bytes(modes: int, sites: int, shape: tuple[int, int], steps: int) -> int:
    """Peak bytes of one scrambling's response; `shape` is (points, outputs), `steps` recorded ones."""
    points, outputs = shape
    tangents = WORKING_COPIES * modes * sites * points * (1 + outputs)
    recorded = steps * sites * points * outputs + steps**2 * points * outputs + 8 * steps * points**2
    return DOUBLE * (tangents + recorded)


def require_memory(modes: int, sites: int, shape: tuple[int, int], steps: int) -> None:
    """Raise `InputError`, with the numbers and with what would fit, unless the request fits."""
    available = usable_bytes()
    needed = (os.cpu_count() or 1) * response_bytes(modes, sites, shape, steps)
    if needed <= available:
        return
    fitting = sites
    while (
        fitting > 16
        and (os.cpu_count() or 1) * response_bytes(min(modes, fitting), fitting, shape, steps) > available
    ):
        fitting //= 2
    raise InputError(
        f"fluctuations of {shape[0]} points, {shape[1]} outputs and {steps} recorded steps by {modes} modes "
        f"on {sites} sites need {needed / 1e9:.1f} GB, and {available / 1e9:.1f} GB may be used: "
        f'set `theory.fluctuation_sites` = {fitting}, fewer points, or `record.steps` = "log"'
    )


def require_deep_memory(process: DeepProcess, sites: int, batch: int) -> None:
    """Raise `InputError`, with the numbers and with what would fit, unless a batch of adjoints fits."""
    available = usable_bytes()
    needed = deep_bytes(process, sites, batch)
    if needed <= available:
        return
    fitting = sites
    while fitting > 16 and deep_bytes(process, fitting, batch) > available:
        fitting //= 2
    points, outputs = process.targets.shape
    raise InputError(
        f"fluctuations of {process.depth} layers, {points} points, {outputs} outputs and "
        f"{process.steps} steps on {sites} sites need {needed / 1e9:.1f} GB, and {available / 1e9:.1f} GB "
        f"may be used: set `theory.fluctuation_sites` = {fitting}, or take fewer points or steps"
    )


def deep_bytes(process: DeepProcess, sites: int, batch: int) -> int:
    """Peak bytes of one batch: what its reverse pass keeps, three populations, rows, and Jacobians.

    In units of an array (site, field) in double precision for each layer: a population for adjoints has three
    copies and as much noise again in single precision, the one averaged over its noise and activity twice.
    """
    points, outputs = process.targets.shape
    each, steps, depth = points * outputs, process.steps, process.depth
    fields, kernels = steps * (points + each), steps**2 * (points**2 + each**2)
    populations = sites * fields * (2 * 3 + FRESH * 8)
    reverse = batch * (1.5 * sites * fields + 5 * kernels)
    jacobians = CHUNK * fields**2 * (3 + batch)
    return int(DOUBLE * (depth * (populations + reverse + 4 * kernels) + jacobians))


def quadratic_sites(fields: int) -> int:
    """How many sites average what is quadratic in J, which is dearest and varies least."""
    return int(np.clip(16 * (200 / fields) ** 3, 16, 64))


def deep_seconds(process: DeepProcess, sites: int, batches: list[int], one_pass: float) -> float:
    """About how long the batches of one scrambling take, from the measured time of `one_pass`.

    Counted in products of (site, field) arrays with kernels: twelve for each layer and step of a pass,
    thirty more for an adjoint and ten for a contraction; Jacobians besides.
    """
    points, outputs = process.targets.shape
    fields = process.steps * points * outputs
    jacobians = 24 * quadratic_sites(fields) * fields / sites if process.depth > 1 else 0.0
    products = sum(2 * 12 + batch * (2 * 18 + 10 + jacobians) for batch in batches)
    return one_pass * (3 + products / 12)
