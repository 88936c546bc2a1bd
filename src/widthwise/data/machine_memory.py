"""How much memory there is: that of the machine, or less where a container or a batch system says so."""

import os
from pathlib import Path, PurePosixPath

# Where Linux tells what a group of processes may take: version 2, and the controller of version 1.
GROUPS = {"": ("/sys/fs/cgroup", "memory.max"), "memory": ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")}


def machine_bytes(system: Path = Path("/")) -> int:
    """Bytes of memory that this process could take at most: of the machine, or of the smallest control group
    that it is in, beyond which it would be killed without a word. `system` is the root of all files."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([installed, *_limits(system)])


def _limits(system: Path) -> list[int]:
    """Of the groups of this process, and of those they are in."""
    try:
        memberships = (system / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    limits = []
    for line in memberships:
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        for controller in set(controllers.split(",")) & GROUPS.keys():
            root, name = GROUPS[controller]
            # In a container a group's path may be that outside of it, and not be there: its root is.
            within = PurePosixPath(group.lstrip("/"))
            limits += [_limit(system / root[1:] / folder / name) for folder in (within, *within.parents)]
    return [limit for limit in limits if limit is not None]


def _limit(file: Path) -> int | None:
    """None without a limit, which is "max", a huge number, or no file."""
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
