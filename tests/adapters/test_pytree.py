"""Recording trees of arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import widthwise as ww
from widthwise.adapters import tree_rms, tree_shapes
from widthwise.errors import InputError


def weights(width: int) -> dict:
    return {"first": {"kernel": jnp.ones((3, width))}, "readout": {"kernel": jnp.full((width, 1), 2.0)}}


def test_scales_of_trees_are_recorded_by_path(tmp_path):
    for width in (8, 16):
        with ww.jax_recorder(tmp_path, width=width, seed=0, weights=weights(width)) as recorder:
            for step in range(3):
                tree = weights(width)
                gradients = jax.tree.map(lambda w: -3.0 * w, tree)
                recorder.record(step, loss=1.0, weights=tree, gradients=gradients, updates=tree)
    records = ww.open_runs(tmp_path)
    assert records["tensor"].values.tolist() == ["first.kernel", "readout.kernel"]
    assert records["tensor_role"].values.tolist() == ["input", "readout"], "Flax lays out (in, out)"
    assert np.allclose(records["gradient_rms"].isel(tensor=1), 6) and np.allclose(
        records["weight_rms"][..., 0], 1
    )


def test_any_precision_and_any_number_of_axes_will_do():
    tree = {"a": jnp.full((2, 2), 3.0, jnp.bfloat16), "b": [np.float64(2.0), np.arange(3)], "c": None}
    assert tree_rms(tree) == {"a": 3.0, "b.0": 2.0}
    assert tree_shapes(tree) == {"a": (2, 2), "b.0": ()}


@pytest.mark.parametrize(("in_out", "shape"), [(True, (5, 4, 3, 2)), (False, (3, 2, 4, 5))])
def test_shapes_of_convolutions_are_told_as_out_in_window(tmp_path, in_out, shape):
    tree = {"kernel": jnp.ones((3, 2, 4, 5))}
    with ww.jax_recorder(tmp_path, width=5, seed=0, weights=tree, in_out=in_out) as recorder:
        recorder.record(0, loss=1.0, weights=tree)
    found = ww.open_runs(tmp_path)["tensor_shape"].values.ravel()
    assert tuple(found[:2]) == shape[:2] and sorted(found[2:]) == sorted(shape[2:])


def test_wrong_trees_are_refused(tmp_path):
    recorder = ww.jax_recorder(tmp_path, width=5, seed=0)
    with pytest.raises(InputError, match="no floating-point arrays"):
        recorder.record(0, loss=1.0, weights={"a": jnp.arange(3)})
    with pytest.raises(InputError, match="both as numbers and as a tree"):
        recorder.record(0, loss=1.0, weights=weights(3), weight_rms={"a": 1.0})
