"""A plain convolutional network: convolutions, average pooling, a dense readout."""

import equinox as eqx
from jaxtyping import Array, Float, Num

from widthwise.networks.activations import activation
from widthwise.networks.convolution import convolution, halve
from widthwise.networks.plans import Leaf, image_sizes, readout, weights
from widthwise.networks.trace import Layer, Trace
from widthwise.study import NetworkSettings

SMALLEST_HALVED = 8  # sides below this are left as they are


class CNN(eqx.Module):
    r"""$$h^1 = W^0 * x, \quad h^{l+1} = W^l * \phi(h^l), \quad f = w \langle \phi(h^L) \rangle$$

    with 3 x 3 convolutions *, zeros beyond the border, no biases, and < > the average over positions. After
    every second layer (but the last) sides of 8 or more are halved by averages over 2 x 2 positions.

    **Fields:** `hidden` holds W^0 (width, channel, 3, 3) .. W^{L-1} (width, width, 3, 3), `readout` w
    (output, width). A trace names the layers "convolution 1" .. "convolution L", before pooling.
    **Source:** Bordelon and Pehlevan (2023), arXiv 2304.03408 (which pooled is our choice).
    """

    hidden: tuple[Leaf, ...]
    readout: Leaf
    settings: NetworkSettings = eqx.field(static=True)

    def trace(self, inputs: Num[Array, "point *shape"]) -> Trace:
        """The forward pass over images (point, row, column, channel) or (point, row, column)."""
        phi = activation(self.settings)
        x = as_images(inputs)
        layers = {}
        for number, kernel in enumerate(self.hidden, 1):
            h = convolution(x, kernel)
            x = phi(h)
            layers[f"convolution {number}"] = Layer(h, x)
            if number % 2 == 0 and number < len(self.hidden) and min(x.shape[1:3]) >= SMALLEST_HALVED:
                x = halve(x)
        return Trace(x.mean((1, 2)) @ self.readout.T, layers, {})


def as_images(inputs: Num[Array, "point *shape"]) -> Float[Array, "point row column channel"]:
    """Images (point, row, column, channel); those of (point, row, column) get a channel axis of length 1."""
    return inputs[..., None] if inputs.ndim == 3 else inputs


def plan_cnn(settings: NetworkSettings, shape: tuple[int, ...], outputs: int, width: int) -> CNN:
    """With tensors in place of arrays."""
    channels = image_sizes(settings, shape)[2]
    first = weights(settings, (width, channels, 3, 3), "input")
    others = [weights(settings, (width, width, 3, 3)) for _ in range(settings.hidden_layers - 1)]
    return CNN((first, *others), readout(settings, outputs, width), settings)
