"""Whether the intervals of mean shifts over nested families of digits hold the truth.

`python benchmarks/nested_coverage.py [REPEATS]`: the digits example, shorter, with its 64 families drawn anew
in each repeat and theory solved once. Of every part: how many 95 % intervals of the ratio of the networks'
shift to theory's, extrapolated to infinite width, hold 1, and how often that row is decided. A few minutes.
"""

import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from machine import write_result
from scipy import stats

import widthwise as ww
from widthwise.analysis.verdict import ClaimRow

STEPS, REPEATS, ALPHA = 20, 24, 0.05
DIGITS = Path(__file__).parent.parent / "examples" / "digits.toml"


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else REPEATS
    study = ww.load_study(DIGITS)
    study = replace(
        study,
        training=replace(study.training, steps=STEPS),
        record=replace(study.record, quantities=study.theory.observables),
    )
    theory = ww.solve_fluctuations(ww.solve_infinite_width(study))
    rows = defaultdict(list)
    for repeat in range(repeats):
        records = ww.train_ensemble(replace(study, ensemble=replace(study.ensemble, seed=1000 + repeat)))
        for row in ww.compare(theory, records, alpha=ALPHA).verdicts:
            if row.claim == "shift_scaling":
                rows[str(row.where["part"])].append(row)
        write_result("nested_coverage", summary(rows) | {"steps": STEPS, "families": study.ensemble.seeds})
        print(repeat + 1, {part: found[-1].interval for part, found in rows.items()}, flush=True)


def summary(rows: dict[str, list[ClaimRow]]) -> dict[str, object]:
    """Of each part and of all together how many intervals hold 1, and estimates against their intervals."""
    parts, repeats = {}, len(next(iter(rows.values())))
    for part, found in rows.items():
        held = sum(not row.misses for row in found)
        exact = stats.binomtest(held, repeats).proportion_ci(method="exact")
        estimates = np.array([row.estimate for row in found])
        halves = [(row.interval[1] - row.interval[0]) / 2 for row in found if row.interval]
        parts[part] = {
            "held": held,
            "interval": [round(exact.low, 3), round(exact.high, 3)],
            "decided": sum(row.verdict == "consistent" for row in found),
            "mean": round(float(estimates.mean()), 3),
            "scatter": round(float(estimates.std(ddof=1)), 3) if repeats > 1 else None,
            "half_width": round(float(np.mean(halves)), 3),
        }
    held = sum(part["held"] for part in parts.values())
    return {"repeats": repeats, "alpha": ALPHA, "held": held, "of": repeats * len(parts), "parts": parts}


if __name__ == "__main__":
    main()
