"""The memory of recording: the arrays that the schema names are counted, and refusals carry numbers."""

import dataclasses
import math
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from widthwise.data import Points
from widthwise.data.fixed import fixed_stream
from widthwise.errors import InputError
from widthwise.records import Layout
from widthwise.records.schema import (
    COORDINATES,
    QUANTILE_LEVELS,
    RECORD_VARIABLES,
    RECORDED_WITH,
    VARIABLES,
)
from widthwise.study import RecordSettings, Study
from widthwise.study.settings import Quantity
from widthwise.training.measures.sharpness import preconditioned_sharpness
from widthwise.training.measures.tangent import tangent_kernel_bytes
from widthwise.training.memory_limits import Sizes, require_memory_to_measure, working_bytes

SIZES = Sizes(
    parameters=10**6,
    points=20,
    outputs=3,
    layers=5,
    neurons=4000,
    block=20,
    precision=8,
    recorded=dict.fromkeys(get_args(Quantity), 1000),
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
def test_bytes_of_a_quantity_are_those_of_its_arrays_at_every_step(quantity):
    study = Study(name="bytes", record=RecordSettings(quantities=("prediction", "sharpness")))
    labels = {"layer": ("a", "b", "c", "d", "e"), "mode": tuple(range(9)), "quantile": QUANTILE_LEVELS}
    labels |= {"tensor": tuple("abcdefg"), "block": tuple("abcd"), "head": (0, 1)}
    labels |= {"query": tuple(range(11)), "key": tuple(range(11))}
    points = Points(np.zeros((20, 2)), np.zeros((20, 3)), 12)
    layout, steps = Layout(study, fixed_stream(study, points), labels), study.training.steps
    lengths = {name: len(values) for name, values in labels.items()} | {"split": 2, "output": 3}
    lengths |= {"step": steps, "point": 20, "point_b": 20}
    names = (quantity, *RECORDED_WITH.get(quantity, ()))
    expected = 4 * sum(math.prod(lengths[dim] for dim in EVERY[name].dims) for name in names)
    assert layout.network_bytes([quantity]) == expected
    assert layout.network_bytes() == sum(layout.network_bytes([name]) for name in ("prediction", "sharpness"))


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
