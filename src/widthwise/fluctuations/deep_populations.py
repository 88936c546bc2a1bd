"""Order 1/N at any depth from networks of finite width: mean shifts, and variances beside the adjoints'."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from widthwise.fluctuations.horizon import OrderOfN, of_size
from widthwise.fluctuations.populations import DeepNetworks
from widthwise.infinite_width import InfiniteWidthSolution
from widthwise.infinite_width.causal_pass import deep_process, evaluations
from widthwise.progress import SILENT, Progress

WIDTH = 256  # of the networks; more when there are many outputs
WIDTH_OVER_POINTS = 8
POPULATIONS = (16, 512)  # for each scrambling of the study: the fewer, the longer one takes
EFFORT = 6400  # populations times fields of a site, points x outputs x steps
LEVELS = 2  # networks and their halves: quarters would be narrower than there are fields


def deep_populations(limit: InfiniteWidthSolution, *, progress: Progress = SILENT) -> OrderOfN:
    """N Var and N (mean at width N - infinite width) of all order parameters at the recorded steps.

    Shifts are d(S) of `populations`: the next order leaves the error of a network about `WIDTH` / 3 wide.
    """
    study = limit.study
    with jax.enable_x64(True):
        process = replace(deep_process(study, limit.points), conditioned=True)
        outputs = process.targets.size
        size = max(WIDTH, 2 ** int(np.ceil(np.log2(WIDTH_OVER_POINTS * outputs))))
        count = int(np.clip(EFFORT / (outputs * process.steps), *POPULATIONS))
        networks = DeepNetworks(process, jnp.asarray(evaluations(study, limit.finite_steps)))
        blocks, seed = study.theory.scramblings, study.theory.seed
        return of_size(networks, size, count, blocks, seed, levels=LEVELS, progress=progress)
