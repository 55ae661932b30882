"""The shapes of a convolution: what its arguments mean, checked once, for every algorithm."""

from __future__ import annotations

from dataclasses import dataclass, replace

from striate.engine.backend import Array, Pair, check_ndim, check_pair, check_shape, check_whole

Sides = tuple[tuple[int, int], tuple[int, int]]
"""Zeros added around an image: ((top, bottom), (left, right))."""

Padding = Pair | Sides | str


@dataclass(frozen=True)
class Geometry:
    """All numbers of a convolution.

    Attributes:
        batch: images, N.
        in_channels: C.
        out_channels: O.
        size: height and width of the input, (H, W).
        kernel: height and width of the kernel, (kH, kW).
        stride: steps down and right.
        padding: zeros added, ((top, bottom), (left, right)).
        dilation: distance between neighbouring taps of the kernel, down and right.
        groups: the channels form so many groups that do not see each other.
    """

    batch: int
    in_channels: int
    out_channels: int
    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: Sides = ((0, 0), (0, 0))
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width of the input with its padding."""
        (top, bottom), (left, right) = self.padding
        return self.size[0] + top + bottom, self.size[1] + left + right

    @property
    def reach(self) -> tuple[int, int]:
        """Height and width that the dilated kernel covers: dilation * (kernel - 1) + 1."""
        (down, right), (kernel_height, kernel_width) = self.dilation, self.kernel
        return down * (kernel_height - 1) + 1, right * (kernel_width - 1) + 1

    @property
    def out_size(self) -> tuple[int, int]:
        """Height and width of the output: floor((size + padding - reach) / stride) + 1."""
        (height, width), (covers_down, covers_right) = self.padded, self.reach
        return (height - covers_down) // self.stride[0] + 1, (width - covers_right) // self.stride[1] + 1

    @property
    def in_shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""
        return self.batch, self.in_channels, *self.size

    @property
    def out_shape(self) -> tuple[int, int, int, int]:
        """(N, O, H', W')."""
        return self.batch, self.out_channels, *self.out_size

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """(O, C / groups, kH, kW)."""
        return self.out_channels, self.in_channels // self.groups, *self.kernel

    @property
    def multiply_adds(self) -> int:
        """Multiplications with an addition that the definition of the convolution takes, forward."""
        taps = self.weight_shape[1] * self.kernel[0] * self.kernel[1]
        return self.batch * self.out_channels * self.out_size[0] * self.out_size[1] * taps

    def turned(self) -> Geometry:
        """Return the convolution of dY that gives the gradient of x, where the stride is 1.

        Its kernels are turned by half a turn, in and out exchanged, and dY padded by reach - 1 less the
        padding of x: a *full* convolution, of which what falls on padding is left out.
        """
        assert self.stride == (1, 1)
        (top, bottom), (left, right), (down, across) = *self.padding, self.reach
        return replace(
            self,
            in_channels=self.out_channels,
            out_channels=self.in_channels,
            size=self.out_size,
            padding=((down - 1 - top, down - 1 - bottom), (across - 1 - left, across - 1 - right)),
        )

    def taps(self, row: int, column: int) -> tuple[slice, slice]:
        """Rows and columns of the padded input that the kernel's tap (row, column) meets, (H', W')."""
        top, left = row * self.dilation[0], column * self.dilation[1]
        down, right = self.stride
        height, width = self.out_size
        return slice(top, top + down * (height - 1) + 1, down), slice(
            left, left + right * (width - 1) + 1, right
        )


def describe(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Geometry:
    """Check the arguments of a convolution against each other.

    Args:
        x: images (N, C, H, W) or one image (C, H, W).
        weight: kernels (O, C / groups, kH, kW).
        bias: (O,) or None.
        stride: one number or (down, right).
        padding: one number, (height, width), ((top, bottom), (left, right)), `"same"` or `"valid"`.
        dilation: one number or (down, right).
        groups: number of groups of channels.

    Raises:
        ValueError: the arguments do not fit; names the argument, what was expected and what came.
        TypeError: a number is no whole number.
    """
    check_ndim("x", x, (3, 4), "(N, C, H, W) or one image (C, H, W)")
    check_ndim("weight", weight, (4,), "(out_channels, in_channels / groups, kernel height, kernel width)")
    steps, spread = check_pair("stride", stride), check_pair("dilation", dilation)
    groups = check_whole("groups", groups)
    _check_channels(x, weight, bias, groups)
    kernel = int(weight.shape[2]), int(weight.shape[3])
    if min(kernel) < 1:
        raise ValueError(f"weight: expected a kernel of at least 1x1, got shape {tuple(weight.shape)}")
    geometry = Geometry(
        batch=x.shape[0] if x.ndim == 4 else 1,
        in_channels=x.shape[-3],
        out_channels=weight.shape[0],
        size=(x.shape[-2], x.shape[-1]),
        kernel=kernel,
        stride=steps,
        padding=sides(padding, kernel, steps, spread),
        dilation=spread,
        groups=groups,
    )
    if geometry.reach[0] > geometry.padded[0] or geometry.reach[1] > geometry.padded[1]:
        covers = f", which covers {_by(geometry.reach)} with dilation {spread}" if spread != (1, 1) else ""
        raise ValueError(
            f"weight: expected a kernel no larger than the padded input, {_by(geometry.padded)}, "
            f"got {_by(kernel)}{covers}"
        )
    return geometry


def _check_channels(x: Array, weight: Array, bias: Array | None, groups: int) -> None:
    in_channels, out_channels = x.shape[-3], weight.shape[0]
    for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
        if channels < 1:
            raise ValueError(f"{name}: expected at least 1, got {channels}")
        if channels % groups:
            raise ValueError(f"groups: expected a divisor of {name} = {channels}, got {groups}")
    if weight.shape[1] * groups != in_channels:
        raise ValueError(
            f"x: expected {weight.shape[1] * groups} channels (weight of shape {tuple(weight.shape)}, "
            f"groups={groups}), got {in_channels} in shape {tuple(x.shape)}"
        )
    if bias is not None:
        check_shape("bias", bias, (out_channels,))


def sides(
    padding: Padding, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> Sides:
    """Return the four sides of any form of `padding`; `"same"` puts an odd zero below and right, as torch."""
    if isinstance(padding, str) and padding == "valid":
        return (0, 0), (0, 0)
    if isinstance(padding, str) and padding == "same":
        if stride != (1, 1):
            raise ValueError(
                f"padding: expected numbers where the stride is not 1, got 'same' and stride {stride}"
            )
        total = [step * (length - 1) for step, length in zip(dilation, kernel, strict=True)]
        return (total[0] // 2, total[0] - total[0] // 2), (total[1] // 2, total[1] - total[1] // 2)
    if isinstance(padding, str):
        raise ValueError(f"padding: expected numbers, 'same' or 'valid', got {padding!r}")
    if isinstance(padding, tuple | list) and any(isinstance(side, tuple | list) for side in padding):
        if [len(side) if isinstance(side, tuple | list) else 0 for side in padding] != [2, 2]:
            raise ValueError(f"padding: expected ((top, bottom), (left, right)), got {padding!r}")
        return check_pair("padding", padding[0], 0), check_pair("padding", padding[1], 0)
    height, width = check_pair("padding", padding, 0)
    return (height, height), (width, width)


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
