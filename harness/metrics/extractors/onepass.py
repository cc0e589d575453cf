"""Convolutions of an EfficientNet on a CPU with their padding and their clamp in one pass: fewer copies, the same bits.

TensorFlow pads by one row and column more at the far end, for which timm copies each map into a larger one, and clamps
what comes out in a pass of its own. Here the kernel takes a row and column of zeros at its near end instead, and the
clamp is oneDNN's, on each value before it is stored: 0 and 6 are whole in bf16, so it makes no difference which comes
first, rounding or the clamp.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn
from torch.nn.functional import pad

from harness.machine.precision import fast_bf16


class OnePass(nn.Module):
    """A convolution, as timm makes it, and the clamp to 0..6 that follows it, if one does.

    The weights lie in oneDNN's own order, which its convolution otherwise brings them into at every call.
    """

    def __init__(self, conv: nn.Conv2d, *, clamped: bool) -> None:
        super().__init__()
        self._weights = conv.weight.data
        self._bias = conv.bias
        self._same = isinstance(conv, Conv2dSame)
        self._around: tuple[list[int], list[int], int] = (list(conv.stride), list(conv.dilation), conv.groups)
        self._padding = [] if self._same else [int(side) for side in conv.padding]
        self._after = ("hardtanh", [0.0, 6.0], "") if clamped else ("none", [], "")
        self._ready: dict[tuple[int, ...], tuple[torch.Tensor, list[int]]] = {}

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W] of [N, C', H', W']."""
        size = tuple(images.shape[2:])
        if size not in self._ready:
            self._ready[size] = self._packed(images)
        weights, padding = self._ready[size]
        found: torch.Tensor = torch.ops.mkldnn._convolution_pointwise(
            images, weights, self._bias, padding, *self._around, *self._after
        )
        return found

    def _packed(self, images: torch.Tensor) -> tuple[torch.Tensor, list[int]]:
        """The weights for maps of this size, and the padding at both ends of each side."""
        weights, padding = self._weights, self._padding
        if self._same:
            near, far = _same_padding(images.shape[2:], weights.shape[2:], self._around[0])
            more = [behind - before for before, behind in zip(near, far, strict=True)]
            weights = pad(weights, (more[1], 0, more[0], 0)).contiguous(memory_format=torch.channels_last)
            padding = far
        shape = list(images.shape)
        return torch.ops.mkldnn._reorder_convolution_weight(weights, padding, *self._around, shape), padding


def _same_padding(size: torch.Size, kernel: torch.Size, stride: list[int]) -> tuple[list[int], list[int]]:
    """TensorFlow's padding "SAME" of each side, near and far: in all (ceil(n / stride) - 1) stride + kernel - n."""
    sides = zip(size, kernel, stride, strict=True)
    whole = [max(0, (-(-n // step) - 1) * step + taps - n) for n, taps, step in sides]
    return [each // 2 for each in whole], [each - each // 2 for each in whole]


def in_one_pass(module: nn.Module, dtype: torch.dtype) -> None:
    """Replaces the convolutions of timm's EfficientNet, whose batch norms are folded, in place.

    Those of 1x1 only in bf16: in float32 oneDNN's order of weights is one of sums too, and last bits differ.
    """
    children = dict(module.named_children())
    for (name, conv), (after, act) in pairwise([*children.items(), ("", nn.Identity())]):
        if isinstance(conv, nn.Conv2d) and (dtype == torch.bfloat16 or max(conv.kernel_size) > 1):
            clamped = isinstance(act, nn.ReLU6)
            setattr(module, name, OnePass(conv, clamped=clamped))
            if clamped:
                setattr(module, after, nn.Identity())
        else:
            in_one_pass(conv, dtype)


def can_be(dtype: torch.dtype) -> bool:
    """Whether this PyTorch has oneDNN's convolutions with something after them, and this CPU their arithmetic."""
    packs = all(hasattr(torch.ops.mkldnn, name) for name in ("_convolution_pointwise", "_reorder_convolution_weight"))
    there = packs and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return there and (dtype == torch.float32 or fast_bf16())
