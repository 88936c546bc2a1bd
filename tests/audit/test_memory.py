"""Records far larger than what an audit may hold: read a part at a time, by the command with its page."""

import json
import subprocess
import sys

import numpy as np
import pytest
import zarr
from synthetic_records import correct_records

from widthwise.records.schema import QUANTITIES, RECORD_DIMS

POINTS, STEPS, LAYERS, SEEDS = 640, 8, 3, 6
PROGRAM = """
import atexit, re, sys
from pathlib import Path
from widthwise.cli import app, audit
import widthwise.report.page
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
atexit.register(lambda: print(before, peak(), file=sys.stderr))
app.app(["audit", sys.argv[1], "--quiet"], prog_name="widthwise")
"""


def write_large(path, rng) -> int:
    """Four widths of six seeds with kernels of 640 points, 940 MB that cannot be packed; its bytes."""
    records = correct_records(rng, seeds=SEEDS).isel(step=slice(0, STEPS))
    group, written = zarr.create_group(path, zarr_format=3), 0
    for name in ("width", "seed", "step"):
        values = records[name].to_numpy()
        group.create_array(name, data=values, dimension_names=(name,))
    group.create_array(
        "loss", data=records["loss"].to_numpy(), dimension_names=(*RECORD_DIMS, "step", "split")
    )
    shape = (4, SEEDS, LAYERS, STEPS, POINTS, POINTS)
    kernels = group.create_array(
        "feature_kernel",
        shape=shape,
        chunks=(1, 1, LAYERS, 4, POINTS, POINTS),
        dtype="float32",
        compressors=None,
        dimension_names=RECORD_DIMS + QUANTITIES["feature_kernel"].dims,
    )
    base, own = rng.standard_normal((2, *shape[2:]), dtype=np.float32)
    for width in range(4):
        for seed in range(SEEDS):
            noise = np.roll(own, 37 * (SEEDS * width + seed) + 1, axis=-1) / np.float32(2**width)
            kernels[width, seed] = base + noise
            written += base.nbytes
    return written


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow_with_the_records(seed, tmp_path):
    size = write_large(tmp_path / "records.zarr", np.random.default_rng(seed))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 3), done.stderr
    before, peak = (1024 * int(number) for number in done.stderr.split()[-2:])
    assert size > 900e6, "too small to show anything"
    assert peak - before < 0.3 * size  # of which 40 MB are imports, and the chunks that are read together
    claims = {row["claim"] for row in json.loads((tmp_path / "verdict.json").read_text())["claims"]}
    assert "feature_kernel" in claims and (tmp_path / "report.html").exists()
