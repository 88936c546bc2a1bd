"""What a result was made with: versions, commit, machine. Theory and experiment attach the same."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("widthwise", "jax", "jaxlib", "numpy", "zarr", "xarray")
GIT_SECONDS = 5.0


def evidence() -> dict[str, object]:
    """Where and with what a computation by JAX that starts now is made, as plain JSON data; it never fails.

    **Returns:** `versions` of the packages that matter and of Python; `commit` of the working copy, with
    "-dirty" if tracked files were changed, None for an installed package; `platform`; `cpu_count`, the
    processors this process may use; `device`, as JAX names it; `started`, in UTC.

    >>> sorted(evidence())
    ['commit', 'cpu_count', 'device', 'platform', 'started', 'versions']
    """
    import jax  # not above: judging what others trained must not take an accelerator's memory from them

    return {
        **made_with(),
        "platform": platform.platform(),
        "cpu_count": usable_processors(),
        "device": jax.devices()[0].device_kind,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def made_with() -> dict[str, object]:
    """`versions` and `commit` of `evidence`, without loading JAX."""
    return {"versions": _versions(), "commit": _commit(Path(__file__).resolve())}


def usable_processors() -> int:
    """Processors this process may run on, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _versions() -> dict[str, str]:
    """Read once a process, which goes on with what it has loaded."""
    return {name: _version(name) for name in PACKAGES} | {"python": platform.python_version()}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


@cache
def _commit(here: Path) -> str | None:
    """Only if the file `here` belongs to the repository: a package installed below another project does not.

    Asked once a process, which goes on with the code it has loaded.
    """
    try:
        _git(here.parent, "ls-files", "--error-unmatch", here.name)
        changed = _git(here.parent, "status", "--porcelain", "--untracked-files=no")
        return _git(here.parent, "rev-parse", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=GIT_SECONDS, check=True
    )
    return done.stdout.strip()
