"""Does the best learning rate stay where it is as the width grows? With `ww.torch.parametrize`, and without.

`python benchmarks/learning_rate_transfer.py --images cifar10 [--only transformer/adamw] [--widths 32,64]
[--seeds 3]`: the transformer of `examples/nanogpt_characters.py` on Python's help topics by AdamW and by Muon
(with `match_rms_adamw`, one rate for it and for the AdamW of all other tensors), and the ResNet of
`examples/resnet_images.py` by AdamW. Rates are powers of two; at each width those around the least loss are
trained, the others left out. The loss is the mean over the last third of the steps, every batch new, the
same batches for all. The best rate is that of `widthwise.analysis.optimum`: the minimum of the parabola
through the best rate tried and its neighbors, in the logarithm; its interval comes from a bootstrap over
seeds. Width 32 is the base width, so both parametrizations are one there. Every run is kept when it ends;
called again, it goes on.
"""

import argparse
import json
import math
import runpy
import time
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from machine import RESULTS, write_result

import widthwise as ww
from widthwise.analysis.optimum import find_optimum

NAME, BASE, STEPS, START, REACH = "learning_rate_transfer", 32, 100, -5, 14
EXAMPLES = Path(__file__).parents[1] / "examples"
CASES = {
    "transformer/adamw": ("nanogpt_characters.py", "GPT", (32, 64, 128, 256, 512)),
    "transformer/muon": ("nanogpt_characters.py", "GPT", (32, 64, 128, 256, 512)),
    "resnet/adamw": ("resnet_images.py", "ResNet", (32, 64, 128, 256)),
}
OURS, PLAIN = "mean_field", "as written"
NAMES = ("optimum", "optimum_low", "optimum_high")


def optimizers_of(built, kind: str, rate: float) -> list[torch.optim.Optimizer]:
    if kind == "adamw":
        return [torch.optim.AdamW(built.param_groups("adamw", lr=rate))]
    muon, others = built.muon_groups(lr=rate, others_lr=rate, scale="match_rms_adamw")
    return [torch.optim.Muon(muon, adjust_lr_fn="match_rms_adamw"), torch.optim.AdamW(others)]


def train(task: dict, kind: str, model: str, ours: bool, width: int, rate: float, seed: int) -> float:
    """The mean training loss over the last third of the steps; infinite if training diverged."""
    rules = {"base_width": BASE if ours else width, "seed": seed}  # at its base width a model is as written
    built = ww.torch.parametrize(task[model], width, **rules)
    optimizers, losses = optimizers_of(built, kind, rate), []
    for step in range(STEPS):
        inputs, targets = task["batches"](1000 * seed + step)
        loss = task["loss"](built.model(inputs), targets)
        built.model.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            return math.inf
    return float(np.mean(losses[-STEPS // 3 :]))


class Runs:
    """Last losses by case, parametrization, width, rate (its exponent) and seed, in the file of results."""

    def __init__(self):
        path = RESULTS / f"{NAME}.json"
        self.known = json.loads(path.read_text())["runs"] if path.exists() else {}

    def loss(self, task, case, way, width, exponent, seed) -> float:
        way = PLAIN if width == BASE else way
        key = f"{case}/{way}/{width}/{exponent}/{seed}"
        if key not in self.known:
            start = time.process_time()
            kind, model = case.split("/")[1], CASES[case][1]
            loss = train(task, kind, model, way == OURS, width, 2.0**exponent, seed)
            self.known[key] = loss if math.isfinite(loss) else None
            print(f"{key}: {loss:.4f} ({time.process_time() - start:.1f} s)", flush=True)
            self.write()
        return math.inf if self.known[key] is None else self.known[key]

    def cell(self, task, case, way, width, start, seeds) -> int:
        """Trains the rates around the least mean loss, from `start` on; returns the best exponent."""

        def mean(exponent: int) -> float:
            return float(np.mean([self.loss(task, case, way, width, exponent, s) for s in range(seeds)]))

        best = start
        while True:
            near = min((best, best - 1, best + 1), key=mean)
            if near == best or abs(near - START) >= REACH:
                return best
            best = near

    def write(self) -> None:
        rows = {case: {way: self.optima(case, way) for way in (OURS, PLAIN)} for case in CASES}
        settings = {"steps": STEPS, "base_width": BASE, "grid": "powers of 2"}
        write_result(NAME, {"settings": settings, "best_rates": rows, "runs": self.known})

    def optima(self, case: str, way: str) -> list[dict[str, float]]:
        """Rows by width; `grid_steps`, how far the best rate is from that at the base width."""
        rows = []
        for width in CASES[case][2]:
            sweep = self.sweep(f"{case}/{PLAIN if width == BASE else way}/{width}/", width)
            if sweep is None:
                continue
            best = find_optimum(sweep).isel(width=0)
            row = {"width": width, "seeds": sweep.sizes["seed"], "at_end": bool(best["at_end"])}
            row |= {name: float(best[name]) for name in ("best", *NAMES)}
            first = rows[0]["optimum"] if rows else row["optimum"]
            steps = {name.replace("optimum", "grid_steps"): math.log2(row[name] / first) for name in NAMES}
            rows.append(row | steps)
        return rows

    def sweep(self, prefix: str, width: int) -> xr.Dataset | None:
        """Rates of which all seeds are there, of the seeds that have three or more; None without any."""
        losses: dict[int, dict[int, float]] = {}
        for key, loss in self.known.items():
            if key.startswith(prefix):
                exponent, seed = map(int, key.removeprefix(prefix).split("/"))
                losses.setdefault(seed, {})[exponent] = math.inf if loss is None else loss
        whole = [each for each in losses.values() if len(each) >= 3]
        rates = sorted(set.intersection(*map(set, whole))) if whole else []
        if len(rates) < 3:
            return None
        table = np.array([[[each[rate] for each in whole]] for rate in rates])
        return xr.Dataset(
            {"loss": (("value", "width", "seed"), table)},
            coords={"value": 2.0 ** np.array(rates), "width": [width]},
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=Path, help="folder of CIFAR-10 images, one folder a class")
    parser.add_argument("--only", choices=CASES, help="one case")
    parser.add_argument("--widths", default="32,64,128,256,512")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    runs = Runs()
    for case, (file, _, widths) in CASES.items():
        if given.only not in (None, case):
            continue
        task = runpy.run_path(str(EXAMPLES / file))
        if file == "resnet_images.py" and given.images is not None:
            task["batches"].__globals__["DATA"] = task["images_in"](given.images)
        start = {OURS: START, PLAIN: START}
        for width in sorted(set(map(int, given.widths.split(","))) & set(widths)):
            for way in start:
                start[way] = runs.cell(task, case, way, width, start[way], given.seeds)
    runs.write()
    for case in CASES:
        for way in (OURS, PLAIN):
            for row in runs.optima(case, way):
                print(f"{case} {way}: {row}")


if __name__ == "__main__":
    main()
