"""What every benchmark result carries, and how it is written."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from widthwise.records import evidence

RESULTS = Path(__file__).parent / "results"


def machine_facts() -> dict[str, object]:
    """Processor, memory, load, versions and commit: what a figure depends on besides the code."""
    return evidence() | {
        "processor": _processor(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def write_result(name: str, result: dict[str, object]) -> Path:
    """Write `benchmarks/results/NAME.json` with the machine's facts; returns its path."""
    content = result | {
        "machine": machine_facts(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    RESULTS.mkdir(exist_ok=True)
    path, temporary = RESULTS / f"{name}.json", RESULTS / f".{name}.partial"
    temporary.write_text(json.dumps(content, indent=2) + "\n")
    temporary.replace(path)
    return path


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
