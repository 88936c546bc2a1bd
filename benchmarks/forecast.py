"""How often forecasts hold: on a published log, on families of known laws, on small ensembles.

`python benchmarks/forecast.py log PATH.csv 1280` foretells all widths above 1280 from the others, at all
steps; `families [REPEATS]` draws laws that are known; `ensembles FOLDER` trains an easy and a hard task,
scaled rightly and wrongly (a quarter of an hour on one core), and foretells their widest width; `drift
[REPEATS]` asks how often the interval of an optimum's drift holds it. Each writes its part of
`benchmarks/results/forecast.json`.

The log that the result is of: decoder-only transformers in muP on chess games, widths 768 to 2048, of five
seeds, of Qiu et al., "Scaling Collapse Reveals Universal Dynamics in Compute-Optimally Trained Neural
Networks" (arXiv 2507.02119), from the logs published with it, thinned to 68 steps.
"""

import json
import sys
from pathlib import Path

import numpy as np
import xarray as xr
from machine import RESULTS, write_result

import widthwise as ww

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reference"))
from width_families import BROKEN, CORRECT, family

LATE = 3  # the last of so many parts of the steps


def on_log(path: str, widest: int) -> dict[str, object]:
    """Coverage, breadth and errors of all widths above the widest that is trained on."""
    records = ww.open_runs(path)
    return _compare(records, [int(w) for w in records["width"] if w <= widest])


def _compare(records: xr.Dataset, trained: list[int]) -> dict[str, object]:
    asked = [int(width) for width in records["width"] if width not in trained]
    found = ww.forecast(records.sel(width=trained), widths=asked)
    loss = records["loss"].isel(split=-1) if "split" in records["loss"].dims else records["loss"]
    measured = loss.mean("seed").transpose("width", "step").sel(width=asked).to_numpy().astype(float)
    known = loss.mean("seed").sel(width=trained[-1]).to_numpy().astype(float)
    low, high, middle = (found[name].to_numpy() for name in ("loss_low", "loss_high", "loss"))
    late = slice(-(measured.shape[1] // LATE), None)
    error, naive = np.abs(middle - measured), np.abs(known - measured)
    return {
        "trained": trained,
        "asked": asked,
        "steps": measured.shape[1],
        "verdict": found.attrs["verdict"],
        "covered": float(((low <= measured) & (measured <= high)).mean()),
        "covered_by_width": ((low <= measured) & (measured <= high)).mean(axis=1).round(4).tolist(),
        "late_interval_over_loss": float(np.median(((high - low) / measured)[:, late])),
        "late_interval_over_loss_by_width": np.median(((high - low) / measured)[:, late], axis=1).tolist(),
        "error_at_the_end": error[:, -1].tolist(),
        "widest_trained_errs_at_the_end": naive[:, -1].tolist(),
        "times_closer_late": float(np.sqrt((naive[:, late] ** 2).mean() / (error[:, late] ** 2).mean())),
    }


def on_families(repeats: int) -> dict[str, object]:
    """Coverage at all steps and at the last, and verdicts, of laws that are known."""
    result: dict[str, object] = {}
    for number, kind in enumerate((*CORRECT, *BROKEN)):
        rows = []
        for repeat in range(repeats):
            one = family(kind, np.random.default_rng([2026, repeat, number]))
            rows.append(_compare(one.records(len(one.widths)), [int(w) for w in one.widths[: one.trained]]))
        result[kind] = {
            "forecasts": sum(len(row["asked"]) for row in rows),
            "covered": float(np.mean([row["covered"] for row in rows])),
            "held": [row["verdict"] for row in rows].count("held") / repeats,
            "median_times_closer_late": float(np.median([row["times_closer_late"] for row in rows])),
        }
        print(kind, result[kind], flush=True)
    right = [result[kind]["covered"] for kind in CORRECT]
    return {"covered": float(np.mean(right)), "repeats": repeats, "kinds": result}


def on_ensembles(folder: Path) -> dict[str, object]:
    """Width 512 from 16 to 256 and 256 from 16 to 128, by all eight seeds, halves and pairs of them."""
    from forecast_ensembles import SCALINGS, TASKS, train

    result: dict[str, object] = {}
    groups = [range(8), range(4), range(4, 8), *(range(k, k + 2) for k in range(0, 8, 2))]
    for task in TASKS:
        for scaling in SCALINGS:
            records = train(task, scaling, folder).load()
            rows = []
            for seeds in groups:
                for trained, top in (
                    ([16, 32, 64, 128, 256], 512),
                    ([32, 64, 128, 256], 512),
                    ([16, 32, 64, 128], 256),
                ):
                    part = records.isel(seed=list(seeds)).sel(width=[*trained, top])
                    rows.append(_compare(part[["loss"]], trained))
            verdicts = [row["verdict"] for row in rows]
            result[f"{task} {scaling}"] = {
                "forecasts": sum(row["steps"] for row in rows),
                "covered": float(np.mean([row["covered"] for row in rows])),
                "verdicts": {name: verdicts.count(name) for name in sorted(set(verdicts))},
                "median_late_interval_over_loss": float(
                    np.median([row["late_interval_over_loss"] for row in rows])
                ),
                "median_times_closer_late": float(np.median([row["times_closer_late"] for row in rows])),
            }
            print(task, scaling, result[f"{task} {scaling}"], flush=True)
    return result


def on_drift(repeats: int) -> dict[str, object]:
    """How often the interval of c in optimum = limit + c / N holds it, where it is known."""
    from width_families import rate_sweep

    from widthwise.forecast.optimum import optimum_drift

    rng, held, verdicts = np.random.default_rng(2026), [], []
    for _ in range(repeats):
        found = optimum_drift(rate_sweep(rng, drift=3.0), target=1024)
        held.append(found["drift_low"] <= 3.0 <= found["drift_high"])
        verdicts.append(found["verdict"])
    return {
        "repeats": repeats,
        "covered": float(np.mean(held)),
        "verdicts": {name: verdicts.count(name) for name in sorted(set(verdicts))},
    }


def main() -> None:
    part, *rest = sys.argv[1:]
    match part:
        case "log":
            found = on_log(rest[0], int(rest[1]))
        case "families":
            found = on_families(int(rest[0]) if rest else 20)
        case "ensembles":
            found = on_ensembles(Path(rest[0]))
        case _:
            found = on_drift(int(rest[0]) if rest else 500)
    path = RESULTS / "forecast.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    write_result(
        "forecast", {k: v for k, v in kept.items() if k not in ("machine", "finished")} | {part: found}
    )
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
