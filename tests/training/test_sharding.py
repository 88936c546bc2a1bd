"""An ensemble spread over several devices, which need a process of their own."""

import os
import subprocess
import sys

import numpy as np
import pytest

from widthwise.training.sharding import seed_mesh

PROGRAM = """if True:
    import sys
    import jax, numpy as np
    from widthwise.data import Points
    from widthwise.study import EnsembleSettings, Study, TrainingSettings
    from widthwise.data.fixed import fixed_stream
    from widthwise.training.program import compile_program
    from widthwise.training.run import run_networks
    training, seeds = TrainingSettings(steps=20), EnsembleSettings(widths=(24,), seeds=10, seeds_per_cell=10)
    study = Study(name="shared", training=training, ensemble=seeds)
    stream = fixed_stream(study, Points(np.eye(6, 4) * 3.0, np.ones((6, 1)), train=4))
    program = compile_program(study, stream, 24)
    outputs = jax.tree.leaves(program.visit.func.output_shardings)
    devices = {device.id for sharding in outputs for device in sharding.device_set}
    trajectory = run_networks(program, range(10))
    np.savez(sys.argv[1], together=program.together, devices=sorted(devices),
             split=not outputs[0].is_fully_replicated, **trajectory.quantities)
"""


def run_on(devices, path):
    flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}", "JAX_PLATFORMS": "cpu"}
    subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)], env=os.environ | flags, check=True, timeout=300
    )
    with np.load(path) as file:
        return dict(file)


@pytest.mark.slow
def test_four_devices_share_an_ensemble_and_give_what_one_gives(tmp_path):
    one, four = run_on(1, tmp_path / "1.npz"), run_on(4, tmp_path / "4.npz")
    assert one["devices"].tolist() == [0] and four["devices"].tolist() == [0, 1, 2, 3]
    assert four["split"] and four["together"] % 4 == 0 and four["together"] >= 8
    for name in ("prediction", "loss", "feature_kernel", "tangent_kernel"):
        assert len(four[name]) == 10
        np.testing.assert_allclose(four[name], one[name], rtol=1e-5, atol=1e-6)
    assert np.ptp(four["prediction"], axis=0).max() > 0.1, "networks differ"


def test_one_device_needs_no_mesh():
    assert seed_mesh() is None
