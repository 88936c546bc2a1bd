"""Seconds, seconds of processor and peak memory of `widthwise audit`, page included, on large records.

Generated records of correct networks: 6 widths, 16 seeds, 50 recorded steps, 512 points, 10 outputs.
"runs" are 96 stores as `ww.RecordWriter` leaves them, with the kernels of four layers at four of the steps;
"large" is one records.zarr in a run's folder, uncompressed, with these kernels at every step, about 20 GB
(fewer steps of kernels if the disk lacks room for them). Each audit is a process of its own, whose memory is
its VmHWM; it reads from the disk as far as the machine has not kept the files in memory.
`python benchmarks/audit_size.py [runs] [large]`
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import zarr
from machine import RESULTS, write_result

from widthwise.adapters import RecordWriter
from widthwise.records.schema import QUANTITIES, RECORD_DIMS

WIDTHS, SEEDS, STEPS, POINTS, OUTPUTS, LAYERS = (32, 64, 128, 256, 512, 1024), 16, 50, 512, 10, 4
TENSORS = {"input": (0.0, 0.0), "hidden": (-0.5, -1.0), "readout": (-1.0, -1.0)}  # powers: weights, updates
KERNEL_STEPS = (0, 7, 21, 49)
CHUNK_STEPS = 10
SPARE_BYTES = 8 * 2**30  # left free on the disk
KERNEL_BYTES = len(WIDTHS) * SEEDS * LAYERS * POINTS**2 * 4  # of one step
GOALS = {
    "runs": {"seconds": 60.0, "peak_bytes": 2 * 2**30},
    "large": {"seconds": None, "peak_bytes": 4 * 2**30},
}
AUDIT = """
import atexit, re, sys
from pathlib import Path
def tell(path=Path(sys.argv.pop())):
    found = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())
    path.write_text(found[1])
atexit.register(tell)
from widthwise.cli.app import app
app(sys.argv[1:], prog_name="widthwise")
"""


class Law:
    """A network's numbers: the limit, off by 1/N in the mean and by N^-1/2 at random."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.outputs = np.cumsum(rng.standard_normal((STEPS, POINTS, OUTPUTS), "float32"), axis=0) / 4
        self.shift = rng.standard_normal((STEPS, POINTS, OUTPUTS), "float32")
        features = rng.standard_normal((2, LAYERS, POINTS, 64), "float32")
        self.start, self.move = np.einsum("tlpk,tlqk->tlpq", features, features) / 64

    def network(self, width: int, seed: int) -> Iterator[dict[str, np.ndarray]]:
        """All quantities but kernels, a step after the other."""
        rng = np.random.default_rng([width, seed])
        own = rng.standard_normal((POINTS, OUTPUTS), "float32")
        for step in range(STEPS):
            own = 0.9 * own + 0.4 * rng.standard_normal((POINTS, OUTPUTS), "float32")
            f = self.outputs[step] + self.shift[step] / width + own / np.float32(width**0.5)
            factor = np.exp(0.1 * rng.standard_normal(16) / width**0.5)
            time = step / STEPS
            weights, updates = (
                np.array([float(width) ** law[k] for law in TENSORS.values()]) for k in (0, 1)
            )
            yield {
                "prediction": f,
                "loss": np.exp(-3 * time) * (1 + 2 * time / width) * factor[:2],
                "weight_rms": weights * factor[2:5],
                "update_rms": updates * factor[5:8],
                "forward_rms": factor[8:12],
                "forward_change_rms": time * factor[12:16],
            }

    def kernel(self, width: int, seed: int, step: int) -> np.ndarray:
        """(layer, point, point_b)."""
        noise = np.random.default_rng([width, seed, step, 1]).standard_normal(self.start.shape, "float32")
        return self.start + (step / STEPS) * self.move + noise / np.float32(width**0.5)


def write_runs(folder: Path) -> None:
    law, half = Law(), POINTS // 2
    for width in WIDTHS:
        for seed in range(SEEDS):
            with RecordWriter(
                folder,
                width=width,
                seed=seed,
                targets=law.outputs[-1] + 0.5,
                splits=["train"] * half + ["test"] * half,
                tensor_roles={name: name for name in TENSORS},
            ) as writer:
                for step, numbers in enumerate(law.network(width, seed)):
                    named: dict[str, object] = dict(numbers)
                    for name in ("weight_rms", "update_rms"):
                        named[name] = dict(zip(TENSORS, numbers[name], strict=True))
                    kernel = law.kernel(width, seed, step) if step in KERNEL_STEPS else None
                    writer.record(step, **named, feature_kernel=kernel)


def write_large(folder: Path, kernel_steps: int) -> None:
    """Chunks of one width, one seed and 10 steps, as a study of `widthwise train` has them; steps after
    `kernel_steps` have the kernel of the fill value, which takes no room."""
    law, group = Law(), zarr.create_group(folder / "records.zarr", zarr_format=3)
    sizes = {"width": len(WIDTHS), "seed": SEEDS, "step": STEPS, "point": POINTS, "point_b": POINTS}
    sizes |= {"output": OUTPUTS, "split": 2, "tensor": len(TENSORS), "layer": LAYERS}
    names = ("prediction", "loss", "weight_rms", "update_rms", "forward_rms", "forward_change_rms")
    for name in (*names, "feature_kernel"):
        dims = RECORD_DIMS + QUANTITIES[name].dims
        chunks = sizes | {"width": 1, "seed": 1, "step": CHUNK_STEPS}
        group.create_array(
            name,
            shape=tuple(sizes[dim] for dim in dims),
            chunks=tuple(chunks[dim] for dim in dims),
            dtype="float32",
            fill_value=float("nan"),
            compressors=None,
            dimension_names=dims,
        )
    half = POINTS // 2
    _put(group, "width", np.array(WIDTHS), ("width",))
    _put(group, "seed", np.arange(SEEDS), ("seed",))
    _put(group, "step", np.arange(STEPS), ("step",))
    _put(group, "tensor", np.array(list(TENSORS), dtype=object), ("tensor",))
    _put(group, "tensor_role", np.array(list(TENSORS), dtype=object), ("tensor",))
    _put(group, "split", np.array(["train"] * half + ["test"] * half, dtype=object), ("point",))
    _put(group, "target", law.outputs[-1].astype(float) + 0.5, ("point", "output"))
    _put(group, "done", np.ones((len(WIDTHS), SEEDS), bool), RECORD_DIMS)
    _put(group, "diverged_at", np.full((len(WIDTHS), SEEDS), -1, "int32"), RECORD_DIMS)
    group.attrs["coordinates"] = "tensor_role split"
    for i, width in enumerate(WIDTHS):
        for seed in range(SEEDS):
            rows = list(law.network(width, seed))
            for name in names:
                _array(group, name)[i, seed] = np.stack([row[name] for row in rows]).astype("float32")
            for start in range(0, kernel_steps, CHUNK_STEPS):
                steps = range(start, min(start + CHUNK_STEPS, kernel_steps))
                block = np.stack([law.kernel(width, seed, step) for step in steps], axis=1)
                _array(group, "feature_kernel")[i, seed, :, steps.start : steps.stop] = block


def _put(group: zarr.Group, name: str, values: np.ndarray, dims: tuple[str, ...]) -> None:
    kind = "string" if values.dtype == object else values.dtype
    array = group.create_array(name, shape=values.shape, dtype=kind, dimension_names=dims)
    array[...] = values


def _array(group: zarr.Group, name: str) -> zarr.Array:
    found = group[name]
    assert isinstance(found, zarr.Array)
    return found


def measure(folder: Path) -> dict[str, object]:
    """One audit by the command; what it took and what it said."""
    with tempfile.TemporaryDirectory() as place:
        peak, out = (
            Path(place) / "peak",
            folder if (folder / "records.zarr").exists() else Path(place) / "out",
        )
        command = [sys.executable, "-c", AUDIT, "audit", str(folder), "--out", str(out), "--quiet", str(peak)]
        began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode not in (0, 1, 3) or "Traceback" in done.stderr:
            raise RuntimeError(done.stderr)
        verdict = json.loads((out / "verdict.json").read_text())
        return {
            "seconds": seconds,
            "processor_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            "peak_bytes": 1024 * int(peak.read_text()),
            "records_bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
            "page_bytes": (out / "report.html").stat().st_size,
            "verdict": verdict["verdict"],
            "rows": len(verdict["claims"]),
            "untested": [each["claim"] for each in verdict["untested"]],
        }


def run(case: str, place: str) -> dict[str, object]:
    with tempfile.TemporaryDirectory(dir=place, prefix="audit_size_") as temporary:
        folder, began = Path(temporary) / "records", time.perf_counter()
        if case == "runs":
            write_runs(folder)
        else:
            room = shutil.disk_usage(temporary).free - SPARE_BYTES
            write_large(folder, max(1, min(STEPS, room // KERNEL_BYTES)))
        written = time.perf_counter() - began
        return measure(folder) | {"written_seconds": written} | {"goal": GOALS[case]}


def main(cases: list[str]) -> None:
    path = RESULTS / "audit_size.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    result: dict[str, object] = {case: kept[case] for case in GOALS if case in kept}
    shape: Mapping[str, object] = {
        "widths": WIDTHS,
        "seeds": SEEDS,
        "steps": STEPS,
        "points": POINTS,
        "outputs": OUTPUTS,
    }
    for case in cases or list(GOALS):
        result[case] = run(case, os.environ.get("TMPDIR", "/var/tmp"))
        print(case, json.dumps(result[case], indent=1), flush=True)
        write_result("audit_size", {"records": shape} | result)


if __name__ == "__main__":
    main(sys.argv[1:])
