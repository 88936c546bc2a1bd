"""Do the tests bite? Small faults, one at a time, and which test sees each.

`python benchmarks/mutants.py [--count 60] [--minutes 120] [--rows FILE] [--rooms ROOM...]`: a sample of the
faults of `mutations.py`, drawn by a fixed seed over rooms, kinds and files, and three that once survived.
Each is put into a copy of the tree, where the tests that name the module run first, then those of its room,
without those marked slow or long, until one fails. A fault with which they exhaust `PROCESSOR_SECONDS` is
counted apart. With `--rows` what was tried is kept in a file, from which another call goes on.
"""

import argparse
import contextlib
import importlib
import json
import os
import random
import resource
import runpy
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from mutations import KINDS, Fault, faults_of

ROOT = Path(__file__).parents[1]
ROOMS = {  # faults of each in sixty
    "infinite_width": 8,
    "fluctuations": 8,
    "observables": 4,
    "analysis": 12,
    "audit": 12,
    "training": 10,
    "records": 6,
}
SHIFT = "count * (h.mean(0) - w.mean(0))"
NAMED = (
    ("analysis/gaps.py", "alpha not halved", "isf(alpha / 2, dof)", "isf(alpha, dof)"),
    ("audit/claims/scale_series.py", "prefactor", "(1 + agreement) *", "(1 + 2 * agreement) *"),
    ("fluctuations/populations.py", "prefactor", SHIFT, f"1.05 * {SHIFT}"),
)
PROCESSOR_SECONDS = 240
HEAVY = (
    "jax jax.numpy equinox optax scipy.stats scipy.optimize sklearn xarray zarr h5netcdf typer rich "
    "hypothesis pydantic plotly matplotlib jinja2 matfree beartype jaxtyping filelock fsspec"
)


def sample(count: int) -> list[Fault]:
    """The named faults, and of each room its share: kinds in turn, sites at random; rooms in turn."""
    chosen = {room: [] for room in ROOMS}
    for each in NAMED:
        chosen[each[0].split("/")[0]].append(named(*each))
    for room, share in ROOMS.items():
        rng = random.Random(f"faults of {room}")
        paths = sorted((ROOT / "src/widthwise" / room).rglob("*.py"))
        sites = [fault for path in paths for fault in faults_of(path, ROOT)]
        pools = [pool for kind in KINDS if (pool := [f for f in sites if f.kind == kind])]
        rng.shuffle(pools)
        while len(chosen[room]) < round(share * count / 60):
            pools.append(pool := pools.pop(0))
            if pool:
                chosen[room].append(pool.pop(rng.randrange(len(pool))))
    return [f for turn in range(count) for faults in chosen.values() for f in faults[turn : turn + 1]]


def named(file: str, kind: str, before: str, after: str) -> Fault:
    path = ROOT / "src/widthwise" / file
    data = path.read_bytes()
    start = data.index(before.encode())
    line = data[:start].count(b"\n") + 1
    end = start + len(before.encode())
    return Fault(str(path.relative_to(ROOT)), kind, line, start, end, before, after)


def tests_of(file: str) -> list[list[str]]:
    """First the module's doctests and the tests that name it, then the others of its room."""
    module = Path(file).with_suffix("").parts[2:]
    name, stem = ".".join(("widthwise", *module)), module[-1]
    room = sorted((ROOT / "tests" / module[0]).rglob("test_*.py"))
    own = [p for p in room if stem in p.stem or name in p.read_text()]
    own.sort(key=lambda path: stem not in path.stem)
    rest = [p for p in room if p not in own]
    return [[file, *(str(p.relative_to(ROOT)) for p in own)], [str(p.relative_to(ROOT)) for p in rest]]


class FirstFailure:
    """A pytest plugin that notes which test failed first."""

    name = ""

    def pytest_runtest_logreport(self, report) -> None:
        if report.failed and not self.name:
            self.name = report.nodeid

    def pytest_collectreport(self, report) -> None:
        if report.failed and not self.name:
            self.name = f"{report.nodeid} (collection)"


def outcome(tree: Path, files: list[str]) -> dict[str, object]:
    """Runs tests in a copy of this process, which has imported everything heavy, but not the package."""
    report = tree / "outcome.json"
    report.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        try:
            _run_tests(tree, files, report)
        finally:
            os._exit(1)
    _, status, used = os.wait4(child, 0)
    if os.WIFEXITED(status) and not report.exists():
        raise RuntimeError(f"the tests could not run: {(tree / 'log').read_text()[-2000:]}")
    found = {"signal": os.WTERMSIG(status)} if os.WIFSIGNALED(status) else json.loads(report.read_text())
    return found | {"processor_seconds": used.ru_utime + used.ru_stime}


def _run_tests(tree: Path, files: list[str], report: Path) -> None:
    import pytest

    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
    os.chdir(tree)
    sys.path.insert(0, str(tree / "src"))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(tree / "src"), str(tree / "tests/reference")])
    plugin = FirstFailure()
    # Of the module itself its doctests alone, also where a function of it is called `tests`.
    options = ["-x", "-q", "-n0", "-p", "no:cacheprovider", "--basetemp", "temporary"]
    options += ["-o", "python_functions=test_*", "-m"]
    with (tree / "log").open("w") as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        code = pytest.main([*options, "not slow and not long", *files], plugins=[plugin])
    report.write_text(json.dumps({"code": int(code), "test": plugin.name}))


def tried(fault: Fault, tree: Path) -> dict[str, object]:
    """The fault and what became of it."""
    path = tree / fault.file
    sound = path.read_text()
    path.write_text(fault.applied(sound))
    spent = 0.0
    row = asdict(fault) | {"verdict": "survived", "test": None}
    for files in filter(None, tests_of(fault.file)):
        found = outcome(tree, files)
        spent += found["processor_seconds"]
        if "signal" in found:
            row |= {"verdict": "never ended", "test": f"signal {found['signal']}, {files[0]} and others"}
            break
        if found["test"]:
            row |= {"verdict": "caught", "test": found["test"]}
            break
        if found["code"] not in (0, 5):
            raise RuntimeError(f"pytest ended with {found['code']}: {(tree / 'log').read_text()[-2000:]}")
    path.write_text(sound)
    del row["start"], row["end"]
    return row | {"processor_seconds": round(spent, 1)}


def place_of(row: dict[str, object]) -> tuple[object, ...]:
    return row["file"], row["before"], row["after"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--rooms", nargs="*", default=[*ROOMS], choices=[*ROOMS], help="of these alone")
    parser.add_argument("--list", action="store_true", help="print the sample and stop")
    parser.add_argument("--rows", type=Path, help="file of rows, one for each fault that was tried")
    settings = parser.parse_args()
    began = time.monotonic()
    chosen = sample(settings.count)
    faults = [f for f in chosen if Path(f.file).parts[2] in settings.rooms]
    if settings.list:
        for fault in faults:
            print(f"{fault.file}:{fault.line} {fault.kind}: {fault.before!r} -> {fault.after!r}")
        return
    rows = settings.rows or Path(tempfile.mkdtemp()) / "rows.jsonl"
    done = [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []
    places = [place_of(asdict(fault)) for fault in chosen]
    done = [row for row in done if place_of(row) in places]  # others are of a source that has changed since
    with tempfile.TemporaryDirectory() as folder:
        prepare(tree := Path(folder) / "tree")
        for fault in faults:
            if place_of(asdict(fault)) in map(place_of, done):
                continue
            if time.monotonic() - began > 60 * settings.minutes:
                break
            done.append(tried(fault, tree))
            with rows.open("a") as log:
                log.write(json.dumps(done[-1]) + "\n")
            print(done[-1], flush=True)
    finish(done, settings.count)


def prepare(tree: Path) -> None:
    """A copy of the tree, and everything heavy in memory; and programs compiled once."""
    shutil.copytree(
        ROOT, tree, ignore=shutil.ignore_patterns(".git", ".venv", "runs", "__pycache__", ".*_cache")
    )
    runpy.run_path(str(ROOT / "tests/conftest.py"))  # which sets up the environment of all tests
    for module in HEAVY.split():
        importlib.import_module(module)


def finish(done: list[dict[str, object]], count: int) -> None:
    """Counts by kind, and every row."""
    from machine import write_result

    verdicts = Counter(row["verdict"] for row in done)
    by_kind = {kind: Counter(row["verdict"] for row in done if row["kind"] == kind) for kind in KINDS}
    result = {"sampled": count, "tried": len(done), "goal": 0.9, "verdicts": verdicts, "by_kind": by_kind}
    print(verdicts)
    write_result("mutants", result | {"rows": done})


if __name__ == "__main__":
    main()
