"""What is measured of a network at a recorded step: pure functions. Begin at `layer_kernels.py`.

Each states its formula, its units in powers of width, and its error where it is an estimate. All but
those that give names or plan memory can be compiled.
"""

from widthwise.training.measures.layer_kernels import feature_kernels, first_attention
from widthwise.training.measures.quantiles import preactivation_quantiles
from widthwise.training.measures.record_bytes import (
    OF_TANGENT_KERNEL,
    Sizes,
    recorded_bytes,
    require_memory_to_measure,
    working_bytes,
)
from widthwise.training.measures.sharpness import Sharpness, preconditioned_sharpness
from widthwise.training.measures.spectrum import Spectrum, mode_count, spectrum
from widthwise.training.measures.tangent import (
    backward_passes,
    choose_block,
    tangent_kernel,
    tangent_kernel_bytes,
)
from widthwise.training.measures.tensor_names import tensor_names
from widthwise.training.measures.tensor_scales import forward_change_rms, forward_rms, tensor_rms

__all__ = [
    "OF_TANGENT_KERNEL",
    "Sharpness",
    "Sizes",
    "Spectrum",
    "backward_passes",
    "choose_block",
    "feature_kernels",
    "first_attention",
    "forward_change_rms",
    "forward_rms",
    "mode_count",
    "preactivation_quantiles",
    "preconditioned_sharpness",
    "recorded_bytes",
    "require_memory_to_measure",
    "spectrum",
    "tangent_kernel",
    "tangent_kernel_bytes",
    "tensor_names",
    "tensor_rms",
    "working_bytes",
]
