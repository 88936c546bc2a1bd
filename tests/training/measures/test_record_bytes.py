"""The memory of recording: the arrays that the schema names are counted, and refusals carry numbers."""

import dataclasses
import math
from typing import get_args

import jax
import jax.numpy as jnp
import pytest

from widthwise.errors import InputError
from widthwise.records.schema import (
    COORDINATES,
    QUANTILE_LEVELS,
    RECORD_VARIABLES,
    RECORDED_WITH,
    VARIABLES,
)
from widthwise.study.settings import Quantity
from widthwise.training.measures import (
    Sizes,
    preconditioned_sharpness,
    recorded_bytes,
    require_memory_to_measure,
    tangent_kernel_bytes,
    working_bytes,
)

SIZES = Sizes(
    parameters=10**6,
    tensors=7,
    points=20,
    train=12,
    outputs=3,
    layers=5,
    neurons=4000,
    attention=4,
    heads=2,
    positions=11,
    modes=9,
    block=20,
    precision=8,
)
EVERY = VARIABLES | RECORD_VARIABLES


def test_every_quantity_of_a_study_is_in_the_vocabulary():
    assert set(get_args(Quantity)) <= set(EVERY)
    assert not set(VARIABLES) & set(RECORD_VARIABLES)
    assert all(beside in RECORD_VARIABLES for names in RECORDED_WITH.values() for beside in names)


def test_every_axis_has_a_meaning():
    axes = {dim for variable in RECORD_VARIABLES.values() for dim in variable.dims}
    assert axes <= set(COORDINATES)
    assert all(COORDINATES[axis].dims == (axis,) for axis in axes)


@pytest.mark.parametrize("quantity", get_args(Quantity))
def test_bytes_of_a_quantity_are_those_of_its_arrays(quantity):
    lengths = {"step": 1, "point": 20, "point_b": 20, "output": 3, "layer": 5, "split": 2, "mode": 9}
    lengths |= {"quantile": len(QUANTILE_LEVELS), "tensor": 7, "block": 4, "head": 2, "query": 11, "key": 11}
    names = (quantity, *RECORDED_WITH.get(quantity, ()))
    expected = 8 * sum(math.prod(lengths[dim] for dim in EVERY[name].dims) for name in names)
    assert recorded_bytes([quantity], SIZES) == expected
    assert recorded_bytes([quantity], dataclasses.replace(SIZES, precision=4)) == expected // 2


def test_splits_and_modes_are_as_many_as_there_are():
    online = dataclasses.replace(SIZES, train=0, modes=50)
    assert recorded_bytes(["loss"], online) == 8
    assert recorded_bytes(["task_power"], online) == 8 * 20


def test_the_greediest_measure_decides():
    alone = [working_bytes([name], SIZES) for name in ("sharpness", "tangent_kernel", "weight_rms")]
    together = working_bytes(["sharpness", "tangent_kernel", "weight_rms"], SIZES)
    assert max(alone) <= together < 1.01 * max(alone)
    gradients = tangent_kernel_bytes(SIZES.parameters, SIZES.points, SIZES.outputs, 20, 8)
    assert alone[1] > gradients > 20 * 8 * SIZES.parameters


def test_too_much_is_refused_with_numbers_and_the_culprit():
    wanted = ["prediction", "sharpness", "loss"]
    require_memory_to_measure(wanted, SIZES, 10**9)
    with pytest.raises(
        InputError, match=r"1000000 weights at 20 points.*0\.4\d\d? GB, and 0\.1 GB.*'sharpness'"
    ):
        require_memory_to_measure(wanted, SIZES, 10**8)


def test_the_sharpness_program_keeps_to_the_estimate(key):
    """Temporary memory as XLA plans it, of a network whose forward pass is small beside its weights."""
    count = 30_000

    def sharpness(weights):
        return preconditioned_sharpness(lambda w: jnp.tanh(w).sum() ** 2, weights, jnp.ones(()), key)

    shape = jax.ShapeDtypeStruct((count,), jnp.float32)
    planned = jax.jit(sharpness).lower(shape).compile().memory_analysis().temp_size_in_bytes
    sizes = dataclasses.replace(SIZES, parameters=count, neurons=0, precision=4)
    assert 0.8 * working_bytes(["sharpness"], sizes) < planned < working_bytes(["sharpness"], sizes)
