"""How often the audit is wrong: about correct set-ups of PyTorch networks, and about set-ups with one fault.

    python benchmarks/audit_calibration.py [--train] [--judge] [--folder DIR] [--seeds 12] [--draw 0] [KIND]

`--train` trains what is not in the folder yet, `--seeds` at each of four widths, recorded by
`ww.torch.Recorder`, one kind after another: it goes on where it was interrupted. `--judge` audits four, six
and twelve seeds at a time of what is there, beside the usual three-step coordinate check, and writes the
results. Without either, both. Another `--draw` (with a folder of its own) is another set of seeds, whose
results are kept beside. It needs the packages `torch`, `mup` and `peft`.
"""

import argparse
import json
import shutil
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import audit_zoo_correct
import audit_zoo_faulty
import audit_zoo_packages
import numpy as np
import torch
import xarray as xr
from audit_zoo_training import Kind, train
from machine import write_result
from scipy import stats

import widthwise as ww
from widthwise.audit.run import Audit

WIDTHS, AUDITED, ALPHA = (32, 64, 128, 256), (4, 6, 12), 0.05
CORRECT = audit_zoo_correct.CORRECT | audit_zoo_packages.CORRECT
FAULTY = audit_zoo_faulty.FAULTY | audit_zoo_packages.FAULTY
KINDS = CORRECT | FAULTY


def train_kind(label: str, folder: Path, seeds: int, draw: int) -> float:
    """Train and keep the networks of a kind; returns the seconds of the processor."""
    begun, runs = time.process_time(), folder / "runs" / label
    shutil.rmtree(runs, ignore_errors=True)
    with ThreadPoolExecutor(1) as pool:
        closed = [
            pool.submit(train(KINDS[label], label, (width, seed + 1000 * draw), runs).close)
            for width in WIDTHS
            for seed in range(seeds)
        ]
    for each in closed:
        each.result()
    partial = folder / f"{label}.partial"
    ww.open_runs(runs).load().to_netcdf(partial, engine="h5netcdf")
    partial.replace(folder / f"{label}.nc")
    shutil.rmtree(runs)
    return time.process_time() - begun


def coordinate_check(records: xr.Dataset, factor: float = 1.2, steps: int = 3) -> bool:
    """The usual check, as a rule: whether some layer's coordinates, at initialization or after one to three
    steps, differ by more than the factor between the narrowest and the widest networks (means of seeds)."""
    sizes = records["forward_rms"].isel(step=records["step"] <= steps).mean("seed")
    ratio = np.abs(np.log(sizes.isel(width=-1) / sizes.isel(width=0)))
    return bool((ratio > np.log(factor)).any() or ratio.isnull().any())


def is_named(kind: Kind, found: Audit) -> bool:
    """Whether the first row's place (tensor, layer, rule or check) has one of the fault's words, or what the
    records do not show is named."""
    if found.verdict == "inconsistent":
        place = " ".join(str(value) for value in found.rows[0].where.values())
        return any(word in place for word in kind.words)
    return bool(kind.unseen) and any(kind.unseen in each.claim for each in found.untested)


def outcome_of(label: str, records: xr.Dataset) -> dict:
    """One audit, and the coordinate check beside it."""
    found = ww.audit(records, alpha=ALPHA)
    bad = [row for row in found.rows if row.verdict == "inconsistent"]
    return {
        "verdict": found.verdict,
        "named": label in FAULTY and is_named(KINDS[label], found),
        "first": dict(bad[0].where) | {"claim": bad[0].claim, "estimate": bad[0].estimate} if bad else {},
        "inconsistent": len(bad),
        "underpowered": [
            dict(row.where) | {"claim": row.claim} for row in found.rows if row.verdict == "underpowered"
        ][:4],
        "coordinate_check_alarms": coordinate_check(records),
    }


def judge_kind(label: str, folder: Path) -> dict[str, list[dict]]:
    """Outcomes by number of seeds, of disjoint sets of them."""
    with xr.open_dataset(folder / f"{label}.nc", engine="h5netcdf") as kept:
        records = kept.load()
    return {
        str(count): [
            outcome_of(
                label,
                records.isel(seed=slice(first, first + count)).assign_coords(seed=range(count)),
            )
            for first in range(0, records.sizes["seed"] - count + 1, count)
        ]
        for count in AUDITED
    }


def share(values: list[bool]) -> dict[str, object]:
    """Of the audits, those of which it is true, and its exact 95 % interval."""
    interval = stats.binomtest(sum(values), len(values)).proportion_ci(method="exact")
    return {
        "count": sum(values),
        "of": len(values),
        "interval": [round(float(interval.low), 4), round(float(interval.high), 4)],
    }


def summarize(outcomes: dict[str, dict[str, list[dict]]]) -> dict[str, dict[str, dict]]:
    """Shares of correct and of faulty kinds, by number of seeds."""
    found: dict[str, dict[str, dict]] = {}
    for name, group in (("correct", CORRECT), ("faulty", FAULTY)):
        for count in map(str, AUDITED):
            mine = [each for label in group for each in outcomes.get(label, {}).get(count, ())]
            if not mine:
                continue
            rows = {
                verdict: share([each["verdict"] == verdict for each in mine])
                for verdict in ("inconsistent", "consistent", "underpowered")
            }
            if name == "faulty":
                rows["named"] = share([each["named"] for each in mine])
            rows["coordinate_check_alarms"] = share([each["coordinate_check_alarms"] for each in mine])
            found[f"{name}, {count} seeds"] = rows
    return found


def groups() -> dict[str, list[str]]:
    """Kinds by what they are: correct ones by their network, faulty ones by what is wrong."""
    networks = {"texts": "transformers", "images": "convolutional networks"}
    found: dict[str, list[str]] = {}
    for label, kind in audit_zoo_correct.CORRECT.items():
        found.setdefault(f"correct {networks.get(kind.task, 'perceptrons')}", []).append(label)
    found["correct, by `mup` and `peft`"] = list(audit_zoo_packages.CORRECT)
    of = {label: name for name, labels in audit_zoo_faulty.GROUPS.items() for label in labels}
    found["rate of some tensors"] = [label for label in audit_zoo_faulty.FAULTY if label not in of]
    found |= {name: list(labels) for name, labels in audit_zoo_faulty.GROUPS.items()}
    found["`mup` and `peft`"] = list(audit_zoo_packages.FAULTY)
    return found


def table(outcomes: dict[str, dict[str, list[dict]]]) -> str:
    """As in docs/audit.md: "inconsistent, consistent" of correct kinds, "found, named" of faulty ones."""
    sides = [f"{count} seeds" for count in AUDITED]
    rows = [["set-ups", "kinds", *sides, f"coordinate check, {AUDITED[0]} seeds"]]
    for name, labels in groups().items():
        known = [label for label in labels if label in outcomes]
        cells = []
        for count in map(str, AUDITED):
            mine = [each for label in known for each in outcomes[label].get(count, ())]
            bad = sum(each["verdict"] == "inconsistent" for each in mine)
            second = (
                sum(each["verdict"] == "consistent" for each in mine)
                if labels[0] in CORRECT
                else sum(each["named"] for each in mine)
            )
            cells.append(f"{bad}, {second} of {len(mine)}")
        first = [each for label in known for each in outcomes[label][str(AUDITED[0])]]
        cells.append(f"{sum(each['coordinate_check_alarms'] for each in first)} of {len(first)}")
        rows.append([name, str(len(known)), *cells])
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def line(label: str, outcomes: dict[str, list[dict]]) -> str:
    """One kind's outcomes: of correct ones consistent and inconsistent, of faulty ones found and named."""
    words = []
    for mine in outcomes.values():
        verdicts = [each["verdict"] for each in mine]
        counted = (
            (verdicts.count("consistent"), verdicts.count("inconsistent"))
            if label in CORRECT
            else (verdicts.count("inconsistent"), sum(each["named"] for each in mine))
        )
        words.append(f"{counted[0]} {counted[1]} of {len(mine)}")
    return f"{'correct' if label in CORRECT else 'faulty ':8} {label:34} {'   '.join(words)}"


def write_results(folder: Path, draw: int) -> None:
    """Of all kinds that were judged in the folder."""
    paths = {label: folder / f"{label}.json" for label in KINDS}
    outcomes = {label: json.loads(path.read_text()) for label, path in paths.items() if path.exists()}
    design = {
        "widths": WIDTHS,
        "seeds": AUDITED,
        "alpha": ALPHA,
        "correct_kinds": sum(label in CORRECT for label in outcomes),
        "faulty_kinds": sum(label in FAULTY for label in outcomes),
    }
    summary = summarize(outcomes)
    name = f"audit_calibration_{draw}" if draw else "audit_calibration"
    write_result(name, {"design": design, "summary": summary, "outcomes": outcomes})
    print(table(outcomes))
    for name, rows in summary.items():
        print(name, {key: (row["count"], row["of"], *row["interval"]) for key, row in rows.items()})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND")
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--judge", action="store_true")
    parser.add_argument("--folder", type=Path, default=Path("runs/calibration"))
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--draw", type=int, default=0)
    settings = parser.parse_args()
    if unknown := set(settings.kinds) - KINDS.keys():
        parser.error(f"{min(unknown)!r} is none of {', '.join(KINDS)}")
    chosen, both = settings.kinds or list(KINDS), settings.train == settings.judge
    settings.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="(peft|mup)")
    if settings.train or both:
        for label in chosen:
            if not (settings.folder / f"{label}.nc").exists():
                print(
                    f"{label}: {train_kind(label, settings.folder, settings.seeds, settings.draw):.1f} s",
                    flush=True,
                )
    if settings.judge or both:
        for label in chosen:
            if (settings.folder / f"{label}.nc").exists():
                outcomes = judge_kind(label, settings.folder)
                (settings.folder / f"{label}.json").write_text(json.dumps(outcomes))
                print(line(label, outcomes), flush=True)
        write_results(settings.folder, settings.draw)


if __name__ == "__main__":
    main()
