"""Networks of several replicates run as one: their layers side by side, with weights in the precision of the products.

Channels of all replicates lie side by side, [N, R * C, H, W]; convolutions are grouped by replicate, and batch norm is
by channel anyway, so that no replicate sees another. A convolution over the whole of its input, and a transposed one
from a single place, are written as the matrix products that they are: the same numbers but for rounding. Modules that
are of no kind known here are called one replicate after another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from harness.recipes.dcgan.networks import GroupedBatchNorm

_ELEMENTWISE = (nn.ReLU, nn.LeakyReLU, nn.Tanh)


@dataclass(frozen=True)
class Leaf:
    """What gradients are taken of: `tensor`, in which `parts` are where each of `masters` has its copy.

    A parameter that needs no copy is its own leaf.
    """

    tensor: Tensor
    parts: Callable[[Tensor], Sequence[Tensor]]
    masters: Sequence[Tensor]


Layer = Callable[[Tensor, int], Tensor]
"""x [N, R * C, H, W] and the number of groups of its batch with statistics each -> [N, R * C', H', W']."""


class Fused:
    """One network of R replicates: x [N, R * C, H, W], or latents [R, N, latent], to [N, R * C', H', W']."""

    def __init__(self, networks: Sequence[nn.Sequential], *, bf16: bool) -> None:
        self.count = len(networks)
        self.bf16 = bf16
        self.parameters = [list(network.parameters()) for network in networks]
        self.leaves: list[Leaf] = []
        self._layers = [self._layer(modules) for modules in zip(*networks, strict=True)]
        copied = {id(master) for leaf in self.leaves for master in leaf.masters}
        self.leaves += [
            Leaf(each, lambda tensor: (tensor,), (each,))
            for parameters in self.parameters
            for each in parameters
            if id(each) not in copied
        ]
        copies = [leaf for leaf in self.leaves if leaf.tensor is not leaf.masters[0]]
        self._copies = [part for leaf in copies for part in leaf.parts(leaf.tensor.detach())]
        self._masters = [master for leaf in copies for master in leaf.masters]
        self.refresh()

    def __call__(self, x: Tensor, groups: int = 1) -> Tensor:
        for layer in self._layers:
            x = layer(x, groups)
        return x

    @torch.no_grad()
    def refresh(self) -> None:
        """Take over the masters after a step of the optimiser: the only casts of weights in a step."""
        if self._copies:
            torch._foreach_copy_(self._copies, self._masters)

    def _layer(self, modules: Sequence[nn.Module]) -> Layer:
        first = modules[0]
        if any(each._forward_hooks or each._forward_pre_hooks for each in modules):
            return self._each(modules)
        if type(first) in _ELEMENTWISE:
            return lambda x, groups: first(x)
        if type(first) in (nn.BatchNorm2d, GroupedBatchNorm):
            return self._batch_norm(cast("Sequence[nn.BatchNorm2d]", modules))
        if isinstance(first, nn.Conv2d | nn.ConvTranspose2d) and _plain(first):
            convolutions = cast("Sequence[nn.Conv2d]", modules)
            if parametrize.is_parametrized(first):
                return self._convolution(convolutions, None)
            transposed = isinstance(first, nn.ConvTranspose2d)
            if transposed and not self.leaves and first.bias is None and first.padding == (0, 0):
                return self._from_one_place(convolutions)
            return self._convolution(convolutions, self._stacked(convolutions, whole=_whole(first)))
        return self._each(modules)

    def _each(self, modules: Sequence[nn.Module]) -> Layer:
        def layer(x: Tensor, groups: int) -> Tensor:
            with torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16):
                return _side_by_side([module(part) for module, part in zip(modules, self._apart(x), strict=True)])

        return layer

    def _apart(self, x: Tensor) -> Sequence[Tensor]:
        return (x,) if self.count == 1 else x.chunk(self.count, 1)

    def _dtype(self, tensor: Tensor) -> torch.dtype:
        return torch.bfloat16 if self.bf16 else tensor.dtype

    def _stacked(self, modules: Sequence[nn.Conv2d], *, whole: bool) -> Tensor:
        """A leaf of the weights of all, [R * out, in, k, k], or [R, k * k * in, out] of a convolution over the `whole`.

        Its parts have the order in memory of the masters, channels last.
        """
        masters = [module.weight for module in modules]
        start = masters[0]
        out, channels, *kernel = start.shape
        if whole:
            shape: tuple[int, ...] = (self.count, kernel[0] * kernel[1] * channels, out)

            def parts(tensor: Tensor) -> Sequence[Tensor]:
                return tensor.view(self.count, *kernel, channels, out).permute(0, 4, 3, 1, 2).unbind()
        else:
            if self.count == 1 and not self.bf16:
                return start
            shape = (self.count * out, channels, *kernel)

            def parts(tensor: Tensor) -> Sequence[Tensor]:
                return tensor.chunk(self.count)

        form = torch.contiguous_format if whole else torch.channels_last
        dtype = start.dtype if whole else self._dtype(start)  # of one output bf16 products gain nothing
        leaf = torch.empty(shape, dtype=dtype, device=start.device, memory_format=form)
        self.leaves.append(Leaf(leaf.requires_grad_(), parts, masters))
        return leaf

    def _from_one_place(self, modules: Sequence[nn.Conv2d]) -> Layer:
        """Latents [R, N, latent] to [N, R * C, k, k]: what a transposed convolution makes of a single place."""
        masters = [module.weight for module in modules]
        start = masters[0]
        latent, channels, *kernel = start.shape
        shape = (self.count, latent, kernel[0] * kernel[1] * channels)
        leaf = torch.empty(shape, dtype=self._dtype(start), device=start.device).requires_grad_()

        def parts(tensor: Tensor) -> Sequence[Tensor]:
            return tensor.view(self.count, latent, *kernel, channels).permute(0, 1, 4, 2, 3).unbind()

        self.leaves.append(Leaf(leaf, parts, masters))

        def layer(x: Tensor, groups: int) -> Tensor:
            if self.count == 1:
                return (x[0].to(leaf.dtype) @ leaf.view(latent, -1)).view(-1, *kernel, channels).permute(0, 3, 1, 2)
            made = torch.bmm(x.to(leaf.dtype), leaf).view(self.count, -1, *kernel, channels)
            side_by_side = made.permute(1, 2, 3, 0, 4).reshape(-1, *kernel, self.count * channels)
            return side_by_side.permute(0, 3, 1, 2)

        return layer

    def _convolution(self, modules: Sequence[nn.Conv2d], leaf: Tensor | None) -> Layer:
        """`leaf` has the weights of all; None: they are made anew at each call, by a parametrisation."""
        first = modules[0]
        transposed, whole = isinstance(first, nn.ConvTranspose2d), leaf is not None and leaf.dim() == 3
        convolve: Any = F.conv_transpose2d if transposed else F.conv2d

        def bias(dtype: torch.dtype) -> Tensor | None:
            if first.bias is None:
                return None
            biases = [cast("Tensor", module.bias) for module in modules]
            return (biases[0] if self.count == 1 else torch.cat(biases)).to(dtype)

        def layer(x: Tensor, groups: int) -> Tensor:
            if whole:
                weights = cast("Tensor", leaf)
                return self._over_whole(x, weights, bias(weights.dtype))
            x = x.to(self._dtype(x))
            weight = leaf
            if weight is None:
                made = [module.weight.to(x.dtype) for module in modules]
                weight = made[0] if self.count == 1 else torch.cat(made)
            about = {"stride": first.stride, "padding": first.padding, "dilation": first.dilation}
            found: Tensor = convolve(x, weight, bias(x.dtype), **about, groups=self.count)
            return found

        return layer

    def _over_whole(self, x: Tensor, leaf: Tensor, bias: Tensor | None) -> Tensor:
        """[N, R, 1, 1]: a convolution to one number whose kernel is as large as its input is a matrix product."""
        places = x.permute(0, 2, 3, 1).to(leaf.dtype)
        if self.count == 1:
            found = torch.mv(places.reshape(len(x), -1), leaf.view(-1))[:, None]
        else:
            apart = (
                places.reshape(*places.shape[:3], self.count, -1).permute(3, 0, 1, 2, 4).reshape(self.count, len(x), -1)
            )
            found = torch.bmm(apart, leaf).transpose(0, 1).reshape(len(x), -1)
        return (found if bias is None else found + bias)[:, :, None, None]

    def _batch_norm(self, modules: Sequence[nn.BatchNorm2d]) -> Layer:
        first = modules[0]
        buffers: list[Tensor] = []
        for name in ("running_mean", "running_var"):
            own = [getattr(module, name) for module in modules]
            buffers.append(own[0] if self.count == 1 else torch.cat(own))
            if self.count > 1:  # the buffers of each replicate become parts of those of all
                for module, part in zip(modules, buffers[-1].chunk(self.count), strict=True):
                    setattr(module, name, part)
        mean, variance = buffers

        def layer(x: Tensor, groups: int) -> Tensor:
            own = ([getattr(each, name) for each in modules] for name in ("weight", "bias"))
            weight, bias = (each[0] if self.count == 1 else torch.cat(each) for each in own)
            parts = (x,) if groups == 1 else x.chunk(groups)
            momentum = cast("float", first.momentum)
            found = [F.batch_norm(part, mean, variance, weight, bias, True, momentum, first.eps) for part in parts]
            return found[0] if groups == 1 else torch.cat(found)

        return layer


def _plain(module: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    """Whether the convolution is torch's own and has nothing about it that side by side would change."""
    own = nn.ConvTranspose2d.forward if isinstance(module, nn.ConvTranspose2d) else nn.Conv2d.forward
    return type(module).forward is own and module.groups == 1 and module.padding_mode == "zeros"


def _whole(module: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    """Whether it is the last one of the discriminator, over the 4 x 4 places that are left."""
    return isinstance(module, nn.Conv2d) and module.out_channels == 1 and module.padding == (0, 0)


def _side_by_side(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(tuple(parts), 1)
