"""The cells as tasks of a Ray cluster: each is trained and written by a worker, none depends on another.

The driver holds the store's lock and knows what is to be done; a worker writes the files of its cell into
the shared store. If a worker or a node dies, its cells are trained by others, from their last checkpoint.
"""

import logging
import os
import socket
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from widthwise.data import Points
from widthwise.errors import InputError
from widthwise.progress import Parts, Progress
from widthwise.records import Cell, RecordStore
from widthwise.records.folder import open_folder
from widthwise.records.store import join_store
from widthwise.study import RunSettings
from widthwise.study.read import study_from_tables
from widthwise.training.cell import report_divergence, train_cell
from widthwise.training.plan import Plan, plan_training

WAIT_SECONDS = 1.0  # so that Ctrl-C is heard
ANSWER_SECONDS = 5.0  # for which a cluster's address is tried
# Of gRPC, as HTTP/2 has it.
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))


def run_on_ray(plan: Plan, store: RecordStore, pending: list[Cell], progress: Progress) -> None:
    """Train the cells on a cluster: the one this process is connected to, that of `run.address`, or a new one
    on this machine, which ends with the run.

    Every node must reach the store under its name, and the study's data under its path.
    **Errors:** `InputError` if `ray` is not installed, the store is in memory, no node is large enough, or a
    cell failed more often than `run.retries`; all other cells are trained first.
    """
    folder, study, points = store.folder, plan.layout.study, plan.points
    if folder is None or folder.name.startswith("memory://"):
        raise InputError('`run.executor` = "ray": workers share records through files: give `out`')
    order = {
        "tables": study.tables(),
        "folder": str(Path(study.folder).resolve()),
        "store": folder.name if folder.local is None else str(folder.local.resolve()),
        "points": None if points is None else (points.inputs, points.targets, points.train),
    }
    with cluster(study.run) as ray:
        _require_node(ray, study.run, progress)
        options: dict[str, Any] = {
            "num_cpus": study.run.cpus,
            "num_gpus": study.run.gpus,
            "max_retries": study.run.retries,
            "retry_exceptions": True,
        }
        task, shared = ray.remote(**options)(train_in_worker), ray.put(order)
        cells = {task.remote(shared, vars(cell)): cell for cell in pending}
        try:
            _collect(ray, cells, plan, progress)
        except BaseException:
            _cancel(ray, list(cells), study.run)
            raise


def train_in_worker(order: dict[str, Any], cell: dict[str, int]) -> dict[str, Any]:
    """What a task does, from plain data to plain data.

    **Returns:** `diverged_at` and `messages`, or the `error` that a user can mend and no retry will.
    """
    said = _Collected()
    try:
        study = study_from_tables(order["tables"], order["folder"])
        points = None if order["points"] is None else Points(*order["points"])
        folder = open_folder(order["store"])
        processors = max(1, int(study.run.cpus)) if study.run.cpus else None
        plan = plan_training(study, points, folder, processors)
        store = join_store(folder, plan.layout)
        one = Cell(**cell)
        diverged_at = train_cell(plan.trainer_of(one.width), store, one, said)
    except InputError as error:
        return {"error": str(error)}
    return {"diverged_at": diverged_at, "messages": said.messages}


class _Collected:
    """Progress of a worker: its messages, told with its result."""

    def __init__(self):
        self.messages: list[str] = []

    def start(self, label: str, total: int, parts: Parts = ()) -> None:
        pass

    def advance(self, amount: int = 1) -> None:
        pass

    def say(self, message: str) -> None:
        self.messages.append(message)


@contextmanager
def cluster(run: RunSettings) -> Iterator[Any]:
    """The module `ray`, connected; what was connected or started here ends here."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError('`run.executor` = "ray": pip install "widthwise[ray]"') from error
    if ray.is_initialized():
        yield ray
        return
    if run.address:
        _require_answer(run.address)
    options: dict[str, Any] = {} if run.address else {"include_dashboard": False}
    try:
        with warnings.catch_warnings(), _quiet():
            # Of JAX, at any fork: Ray's is followed by another program at once.
            warnings.simplefilter("ignore", RuntimeWarning)
            # Without an address not the one that RAY_ADDRESS or a file of an earlier cluster may name.
            address = run.address or "local"
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(_no_cluster(run.address, _short(error))) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """Raise `InputError` unless gRPC answers at host:port, for which Ray would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        return  # "auto" and the like, which Ray itself looks up
    try:
        with socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS) as line:
            if os.environ.get("RAY_USE_TLS", "0") in ("0", ""):
                line.sendall(GREETING)
                if not line.recv(1):
                    raise ConnectionError("it hangs up")
    except (OSError, OverflowError) as error:
        raise InputError(_no_cluster(address, str(error))) from error


def _no_cluster(address: str | None, why: str) -> str:
    if address is None:
        return f'`run.executor` = "ray": no cluster starts on this machine ({why})'
    return f"`run.address` = {address!r}: no cluster answers there ({why})"


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray's own lines of a connection that fails, which its threads and C++ write, are left out."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _require_node(ray: Any, run: RunSettings, progress: Progress) -> None:
    """Ray waits for ever for a node that is large enough; a cluster at an address may still grow one."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(node.get("CPU", 0) >= run.cpus and node.get("GPU", 0) >= run.gpus for node in nodes):
        return
    largest = f"no node has {run.cpus:g} processors and {run.gpus:g} accelerators (`run.cpus`, `run.gpus`)"
    if run.address is None:
        raise InputError(f"{largest}: ask for less, or give `run.address`")
    progress.say(f"{largest}: waiting for one")


def _collect(ray: Any, cells: dict[Any, Cell], plan: Plan, progress: Progress) -> None:
    """Results as they come; divergence is reported when all cells of a width are there."""
    waiting, failed = list(cells), []
    diverged: dict[int, list[np.ndarray]] = {}
    left = Counter(cell.width for cell in cells.values())
    while waiting:
        ready, waiting = ray.wait(waiting, num_returns=1, timeout=WAIT_SECONDS)
        for reference in ready:
            cell = cells[reference]
            try:
                result: dict[str, Any] = ray.get(reference)
            except ray.exceptions.RayError as error:
                result = {"failed": _short(error)}
            if "error" in result:  # the disk is full, the data are gone: the others would fail too
                raise InputError(f"{cell}: {result['error']}")
            if "failed" in result:
                failed.append(f"{cell}: {result['failed']}")
                progress.say(f"{failed[-1]} (given up)")
                continue
            for message in result["messages"]:
                progress.say(message)
            progress.advance(plan.units * (cell.stop - cell.start))
            diverged.setdefault(cell.width, []).append(result["diverged_at"])
            left[cell.width] -= 1
            if not left[cell.width]:
                report_divergence(cell.width, np.concatenate(diverged[cell.width]), progress)
    if failed:
        raise InputError(
            f"{len(failed)} of {len(cells)} cells failed, each tried {plan.layout.study.run.retries + 1} "
            f"times: {'; '.join(failed)}. The others are done; the same command tries these again"
        )


def _cancel(ray: Any, tasks: list[Any], run: RunSettings) -> None:
    """End the tasks that are not done, in a cluster that others may go on using.

    Ray aborts this whole process if a task is cancelled in the moment in which its result arrives. So those
    that wait are cancelled first, and the oldest, which may be running, only if they have not ended soon.
    """
    _, left = ray.wait(tasks, num_returns=len(tasks), timeout=0)
    at_once = int(ray.cluster_resources().get("CPU", 1) / run.cpus) if run.cpus else len(left)
    for task in left[at_once:]:
        ray.cancel(task, force=True)
    running = left[:at_once]
    if running:
        _, running = ray.wait(running, num_returns=len(running), timeout=WAIT_SECONDS)
    for task in running:
        ray.cancel(task, force=True)


def _short(error: Exception) -> str:
    """The last line of what a worker raised."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
