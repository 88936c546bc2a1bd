"""How often the audit is wrong: about correct networks, and about networks with one known fault.

    python benchmarks/audit_calibration.py [--work FOLDER] [--only FAULT] [--kind KIND] [--kept]

Trains fresh seeds of three architectures by two optimizers, audits six seeds at a time, and judges the same
networks by the usual three-step coordinate check. Networks and outcomes of every case are kept in the work
folder, so that an interrupted calibration goes on where it was; delete the outcomes (*.json) to audit again.
"""

import argparse
import json
import time
import zlib
from pathlib import Path

import jax
import xarray as xr
from audit_cases import (
    FAULTS,
    KINDS,
    OPTIMIZERS,
    WIDTHS,
    Case,
    cases_of,
    coordinate_check,
    kept_records,
    named,
    train,
)
from machine import write_result
from scipy import stats

import widthwise as ww

CORRECT, SEEDS, ALPHA = "nothing", 6, 0.05
AUDITS = {"mlp": 60, "cnn": 20, "transformer": 20}  # of correct networks, by each optimizer
AUDITS_OF_FAULT = 20
COUNTED = (("verdict", "inconsistent"), ("named", True), ("coordinate_check_alarms", True))


def records_of(case: Case, audits: int, path: Path) -> xr.Dataset:
    """A case's networks, trained unless they are kept already."""
    seed = zlib.crc32(case.label.encode()) & 0x7FFFFFFF
    return kept_records(path, lambda: train(case, SEEDS * audits, seed=seed))


def judge(case: Case, audits: int, work: Path) -> dict:
    """Audit a case's networks, six seeds at a time."""
    begun = time.perf_counter()
    records = records_of(case, audits, work / f"{case.label}.nc")
    trained = time.perf_counter()
    outcomes = []
    for first in range(0, records.sizes["seed"], SEEDS):
        part = records.isel(seed=slice(first, first + SEEDS)).assign_coords(seed=range(SEEDS))
        found = ww.audit(part, alpha=ALPHA)
        outcomes.append(
            {
                "verdict": found.verdict,
                "first": dict(found.rows[0].where) | {"claim": found.rows[0].claim},
                "inconsistent": [row.claim for row in found.rows if row.verdict == "inconsistent"],
                "underpowered": [row.claim for row in found.rows if row.verdict == "underpowered"],
                "named": case.fault != CORRECT and named(case, part, found.rows[0]),
                "gate": ww.audit(part, alpha=ALPHA, claims=["scales", "attention"]).verdict,
                "coordinate_check_alarms": coordinate_check(part),
            }
        )
    loss = records["loss"].isel(split=0, step=[0, -1]).mean("seed").transpose("step", "width")
    return {
        "case": {"fault": case.fault, "kind": case.kind, "optimizer": case.optimizer},
        "seconds": {
            "training": round(trained - begun, 1),
            "audits": round(time.perf_counter() - trained, 1),
        },
        "training_loss_first_and_last": loss.to_numpy().round(4).tolist(),
        "outcomes": outcomes,
    }


def share(outcomes: list[dict], key: str, value: object) -> dict:
    """Of the audits, those with this outcome, and its exact 95 % interval."""
    count, total = sum(outcome[key] == value for outcome in outcomes), len(outcomes)
    interval = stats.binomtest(count, total).proportion_ci(method="exact")
    return {
        "count": count,
        "of": total,
        "rate": round(count / total, 4),
        "interval": [round(interval.low, 4), round(interval.high, 4)],
    }


def summarize(cases: list[dict]) -> dict:
    """By fault, and for correct networks by architecture and optimizer too."""
    rows = {}
    for name in (CORRECT, *FAULTS):
        mine = [case for case in cases if case["case"]["fault"] == name]
        outcomes = [outcome for case in mine for outcome in case["outcomes"]]
        if not outcomes:
            continue
        rows[name] = {
            "inconsistent": share(outcomes, "verdict", "inconsistent"),
            "consistent": share(outcomes, "verdict", "consistent"),
            "gate_inconsistent": share(outcomes, "gate", "inconsistent"),
            "gate_consistent": share(outcomes, "gate", "consistent"),
            "coordinate_check_alarms": share(outcomes, "coordinate_check_alarms", True),
        }
        if name != CORRECT:
            rows[name]["named"] = share(outcomes, "named", True)
        rows[name]["cases"] = {
            f"{case['case']['kind']} {case['case']['optimizer']}": {
                key: sum(outcome[key] == value for outcome in case["outcomes"])
                for key, value in (
                    ("verdict", "inconsistent"),
                    ("named", True),
                    ("coordinate_check_alarms", True),
                )
            }
            | {"of": len(case["outcomes"])}
            for case in mine
        }
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("runs/calibration"))
    parser.add_argument("--only", default=None, help="a fault, or `nothing`")
    parser.add_argument("--kind", choices=KINDS, default=None, help="an architecture")
    parser.add_argument("--kept", action="store_true", help="write the result of the cases kept so far")
    settings = parser.parse_args()
    settings.work.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(settings.work / "programs"))
    cases = []
    for name in (CORRECT, *FAULTS) if settings.only is None else (settings.only,):
        chosen = cases_of(name)
        for case in [case for case in chosen if settings.kind in (None, case.kind)]:
            path = settings.work / f"{case.label}.json"
            if settings.kept and not path.exists():
                continue
            if not path.exists():
                audits = AUDITS[case.kind] if name == CORRECT else -(-AUDITS_OF_FAULT // len(chosen))
                partial = path.with_suffix(".partial")
                partial.write_text(json.dumps(judge(case, audits, settings.work), indent=1))
                partial.replace(path)
            cases.append(json.loads(path.read_text()))
            outcomes = cases[-1]["outcomes"]
            verdicts = [outcome["verdict"] for outcome in outcomes]
            print(
                case.label,
                {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))},
                "named",
                sum(o["named"] for o in outcomes),
                "coordinate check",
                sum(o["coordinate_check_alarms"] for o in outcomes),
                cases[-1]["seconds"],
                cases[-1]["training_loss_first_and_last"],
                flush=True,
            )
    if settings.only is None and settings.kind is None:
        design = {"kinds": KINDS, "optimizers": OPTIMIZERS, "widths": WIDTHS, "seeds": SEEDS, "alpha": ALPHA}
        write_result("audit_calibration", {"design": design, "summary": summarize(cases), "cases": cases})


if __name__ == "__main__":
    main()
