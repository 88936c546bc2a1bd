"""The claims of Vyas et al. (arXiv 2305.18411), C1 to C8 of `docs/claims.md`, on an easy and a hard task.

Trains two-layer ReLU perceptrons online in muP and in ntk, in muP also on 512 samples again and again; and
tanh perceptrons at large rates with all of 64 points. What is measured is in `claims_rows.py`. Records are
kept in FOLDER: a run that was interrupted goes on. `python benchmarks/claims.py [FOLDER [SHARE_OF_STEPS
[WIDTHS]]]`, FOLDER is runs/claims if not given; results are written of full runs.
`python benchmarks/claims.py table` prints them as tables.
"""

import json
import sys
from collections import Counter
from pathlib import Path

import xarray as xr
from claims_rows import Row, audited_rows, rate_rows, rows_of
from machine import RESULTS, write_result

import widthwise as ww
from widthwise.audit.ensemble_view import measure
from widthwise.audit.sentences import CAUSE
from widthwise.report.words import conclude

WIDTHS, SEEDS = (16, 32, 64, 128, 256), 8
QUANTITIES = (
    *("prediction", "loss", "batch_loss", "feature_kernel", "tangent_kernel", "tangent_kernel_eigenvalue"),
    *(
        "task_power",
        "preactivation_quantile",
        "weight_rms",
        "update_rms",
        "forward_rms",
        "forward_change_rms",
    ),
)
TASKS = {"easy": ("single_index", 10, 0.05, 3000), "hard": ("fourier", 4, 0.1, 4000)}
SETTINGS = (
    *(("easy", "mean_field", "online"), ("hard", "mean_field", "online")),
    *(("easy", "ntk", "online"), ("hard", "ntk", "online")),
    *(("easy", "mean_field", "offline"), ("hard", "mean_field", "offline")),
)
RATES = {"small": 1.0, "large": 4.0}


def study_of(task: str, parametrization: str, order: str, share: float, widths: tuple[int, ...]) -> ww.Study:
    """The easy or hard example in either parametrization, with fresh samples or the same 512."""
    name, dimension, rate, steps = TASKS[task]
    steps = round(share * steps)
    quarters = {round(10 ** (k / 4)) for k in range(40)}  # four recorded steps a decade
    return ww.Study(
        name=f"{task}_{parametrization}_{order}",
        data=ww.DataSettings(
            kind="synthetic", task=name, dimension=dimension, order=order, train=512, test=256
        ),
        network=ww.NetworkSettings(
            hidden_layers=2, activation="relu", base_width=16, parametrization=parametrization
        ),
        training=ww.TrainingSettings(
            optimizer="sgd", learning_rate=rate, batch=64, steps=steps, reduction="mean"
        ),
        ensemble=ww.EnsembleSettings(widths=widths, seeds=SEEDS),
        record=ww.RecordSettings(
            steps=(0, *sorted(s for s in quarters if s < steps - 1), steps - 1),
            quantities=QUANTITIES,
            modes=256,
        ),
    )


def rate_study(parametrization: str, rate: str, share: float, widths: tuple[int, ...]) -> ww.Study:
    """Two tanh layers trained with all of 64 points of the easy task; the sharpness is recorded."""
    steps = max(60, round(share * 200))
    return ww.Study(
        name=f"{rate}_rate_{parametrization}",
        data=ww.DataSettings(kind="synthetic", task="single_index", dimension=10, train=64, test=64),
        network=ww.NetworkSettings(
            hidden_layers=2, activation="tanh", base_width=16, parametrization=parametrization
        ),
        training=ww.TrainingSettings(
            optimizer="gd", learning_rate=RATES[rate], steps=steps, reduction="mean"
        ),
        ensemble=ww.EnsembleSettings(widths=widths[::2], seeds=SEEDS),
        record=ww.RecordSettings(steps=tuple(range(0, steps, 10)), quantities=("loss", "sharpness")),
    )


def audited(records: xr.Dataset, claims: tuple[str, ...] | None = None) -> tuple[ww.Audit, dict[str, object]]:
    """The audit's verdict, what it says, how many tests have which verdict, and the claims that fail."""
    found = ww.audit(records, claims=claims)
    tests = [row for row in found.rows if row.judges]
    told = conclude(found.rows, found.evidence["alpha"], found.summary)
    causes = [sentence for sentence in found.summary if sentence.startswith(CAUSE)]
    return found, {
        "audit": found.verdict,
        "audit_says": " ".join([told.answer, told.detail, *causes]),
        "tests": dict(Counter(row.verdict for row in tests)),
        "inconsistent": sorted({row.claim for row in tests if row.verdict == "inconsistent"}),
    }


def main() -> None:
    if sys.argv[1:] == ["table"]:
        print(tables(json.loads((RESULTS / "claims.json").read_text())))
        return
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/claims")
    share = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    widths = tuple(map(int, sys.argv[3].split(","))) if len(sys.argv) > 3 else WIDTHS
    whole = share == 1.0 and widths == WIDTHS
    result: dict[str, dict] = {"settings": {}, "rates": {}}
    for setting in SETTINGS:
        study = study_of(*setting, share, widths)
        records = ww.train_ensemble(study, folder / study.name / "records.zarr")
        audit, said = audited(records)
        rows = [*rows_of(measure(records, 0.05, ww.AuditSettings())), *audited_rows(audit)]
        loss = records["loss"].isel(split=-1, step=-1).mean("seed").to_numpy()
        said |= {"test_loss_at_the_end": loss.astype(float).round(5).tolist()}
        result["settings"][study.name] = said | {
            "rows": [row.to_json() for row in sorted(rows, key=claim_of)]
        }
        print(study.name, audit.verdict, flush=True)
        if whole:
            write_result("claims", dict(result))
    for parametrization in ("mean_field", "ntk"):
        studies = [rate_study(parametrization, rate, share, widths) for rate in RATES]
        small, large = (ww.train_ensemble(s, folder / s.name / "records.zarr") for s in studies)
        rows = [row.to_json() for row in rate_rows(small, large)]
        result["rates"][parametrization] = audited(small, ("large_rate",))[1] | {"rows": rows}
        if whole:
            write_result("claims", dict(result))
    print(tables(result))


def claim_of(row: Row) -> str:
    """C1 to C8."""
    return row.claim


def tables(result: dict) -> str:
    """Markdown: a column for each setting, a line for each number, and the rule it is to obey."""
    lines = []
    for part in ("settings", "rates"):
        columns = {name.replace("mean_field", "muP").replace("_", " "): v for name, v in result[part].items()}
        lines += ["| | | " + " | ".join(columns) + " | rule |", "|---" * (len(columns) + 3) + "|"]
        lines.append("| | audit | " + " | ".join(str(v["audit"]) for v in columns.values()) + " | |")
        keys = dict.fromkeys((r["claim"], _line(r)) for v in columns.values() for r in v["rows"])
        for claim, what in sorted(keys, key=lambda key: key[0]):
            here = [next((r for r in v["rows"] if _line(r) == what), None) for v in columns.values()]
            rule = next(r["rule"] for r in here if r)
            lines.append(f"| {claim} | {what} | " + " | ".join(map(_cell, here)) + f" | {_bounds(rule)} |")
        lines.append("")
    return "\n".join(lines)


def _line(row: dict) -> str:
    return row["what"].split(" against")[0]


def _cell(row: dict | None) -> str:
    if row is None:
        return ""
    low, high = row["interval"]
    size = max(abs(low), abs(high))
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    against = " of" + row["what"].split(" against")[1] if " against" in row["what"] else ""
    interval = "" if low == high else f" [{low:.{digits}f}, {high:.{digits}f}]"
    verdict = f" **{row['verdict']}**" if row["verdict"] else ""
    return f"{row['value']:.{digits}f}{interval}{against}{verdict}"


def _bounds(rule: list) -> str:
    low, high = rule
    if low is None and high is None:
        return ""
    return f"> {low:g}" if high is None else f"< {high:g}" if low in (None, 0.0) else f"{low:g} to {high:g}"


if __name__ == "__main__":
    main()
