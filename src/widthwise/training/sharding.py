"""The networks of one call spread over all local devices: each trains a share of the seeds.

Networks do not talk to each other, so the devices do not either.
"""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

SEED = "seed"


def seed_mesh() -> Mesh | None:
    """The devices of this process in a row, or None if there is only one."""
    devices = jax.local_devices()
    return Mesh(np.array(devices), (SEED,)) if len(devices) > 1 else None


def shardings(mesh: Mesh | None) -> tuple[NamedSharding | None, NamedSharding | None]:
    """Of arrays whose leading axis is the seed, a share on each device (its length is a multiple of theirs),
    and of arrays of which each has a copy; None where there is one device."""
    if mesh is None:
        return None, None
    return NamedSharding(mesh, PartitionSpec(SEED)), NamedSharding(mesh, PartitionSpec())


def place(tree: Any, sharding: NamedSharding | None) -> Any:
    """The arrays of a tree where `sharding` wants them, as they are without."""
    return tree if sharding is None else jax.device_put(tree, sharding)


def shareable(count: int, devices: int) -> int:
    """At most `count` networks in a call, as many on each device, at least one there.

    >>> [shareable(count, 4) for count in (1, 4, 7, 9)]
    [4, 4, 4, 8]
    """
    return max(count // devices, 1) * devices
