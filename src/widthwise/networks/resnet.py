"""Residual convolutional networks in the style of ResNet-18 for small images."""

import equinox as eqx
from jaxtyping import Array, Num

from widthwise.networks.activations import activation
from widthwise.networks.cnn import as_images
from widthwise.networks.convolution import Images, Result, convolution
from widthwise.networks.normalize import Normalize, plan_normalize
from widthwise.networks.plans import Leaf, image_sizes, readout, weights
from widthwise.networks.trace import Layer, Trace
from widthwise.study import NetworkSettings


class Block(eqx.Module):
    r"""Two convolutions C beside a shortcut S (the identity, or a 1 x 1 convolution where sizes change).

    - pre-activation: $z = \phi(n_1(x))$, $h = n_2(C_1 z)$, $y = S + C_2 \phi(h)$, S of x or, if it is a
      convolution, of z; the block shows h;
    - else: $h = n_2(C_2 \phi(n_1(C_1 x))) + S x$, $y = \phi(h)$; the block shows h.

    The branch is not scaled: its share is independent of the width.
    """

    convolutions: tuple[Leaf, Leaf]
    norms: tuple[Normalize, Normalize]
    shortcut: Leaf | None
    stride: int = eqx.field(static=True)

    def __call__(self, x: Images, settings: NetworkSettings) -> tuple[Result, Layer]:
        """The stream after the block, and what the block shows."""
        phi = activation(settings)
        first, second = self.convolutions
        z = phi(self.norms[0](x)) if settings.preactivation else x
        beside = x if self.shortcut is None else convolution(z, self.shortcut, self.stride)
        h = convolution(z, first, self.stride)
        if settings.preactivation:
            h = self.norms[1](h)
            feature = phi(h)
            return beside + convolution(feature, second), Layer(h, feature)
        h = beside + self.norms[1](convolution(phi(self.norms[0](h)), second))
        feature = phi(h)
        return feature, Layer(h, feature)


class ResNet(eqx.Module):
    """A 3 x 3 convolution ("stem"), stages of blocks, the average over positions, a dense readout.

    Stage s has 2^(s-1) times the width as channels; from the second on its first block has stride 2. With
    pre-activation a normalization and the activation ("final") come before the average, otherwise after the
    stem. "batch" normalization takes the statistics of the points at hand, at probes those of the probes.

    **Source:** He, Zhang, Ren and Sun, arXiv 1512.03385 and 1603.05027 (pre-activation).
    """

    stem: Leaf
    norm: Normalize
    stages: tuple[tuple[Block, ...], ...]
    readout: Leaf
    settings: NetworkSettings = eqx.field(static=True)

    def trace(self, inputs: Num[Array, "point *shape"]) -> Trace:
        """The forward pass over images (point, row, column, channel) or (point, row, column)."""
        phi = activation(self.settings)
        x = h = convolution(as_images(inputs), self.stem)
        if not self.settings.preactivation:
            h = self.norm(h)
            x = phi(h)
        layers = {"stem": Layer(h, x)}
        for s, blocks in enumerate(self.stages, 1):
            for b, block in enumerate(blocks, 1):
                x, layers[f"stage {s} block {b}"] = block(x, self.settings)
        if self.settings.preactivation:
            h = self.norm(x)
            x = phi(h)
            layers["final"] = Layer(h, x)
        return Trace(x.mean((1, 2)) @ self.readout.T, layers, {})


def plan_resnet(settings: NetworkSettings, shape: tuple[int, ...], outputs: int, width: int) -> ResNet:
    """With tensors in place of arrays."""
    stem = weights(settings, (width, image_sizes(settings, shape)[2], 3, 3), "input")
    channels, stages = width, []
    for s, blocks in enumerate(settings.blocks):
        out = width * 2**s
        stages.append([])
        for b in range(blocks):
            stages[-1].append(_plan_block(settings, channels, out, 2 if s and not b else 1))
            channels = out
    norm = plan_normalize(settings, channels if settings.preactivation else width, settings.normalization)
    return ResNet(stem, norm, tuple(map(tuple, stages)), readout(settings, outputs, channels), settings)


def _plan_block(settings: NetworkSettings, channels: int, out: int, stride: int) -> Block:
    entering = channels if settings.preactivation else out
    changes = stride != 1 or channels != out
    return Block(
        (weights(settings, (out, channels, 3, 3)), weights(settings, (out, out, 3, 3))),
        (
            plan_normalize(settings, entering, settings.normalization),
            plan_normalize(settings, out, settings.normalization),
        ),
        weights(settings, (out, channels, 1, 1)) if changes else None,
        stride,
    )
