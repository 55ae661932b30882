"""Which library an array belongs to, and what the engine asks of its arguments.

The engine is written against the array API standard (https://data-apis.org/array-api/): a function takes
the namespace of its input, `xp = namespace(x)`, and uses only what the standard names, so that the same
lines run on NumPy, CuPy, torch tensors (without autograd) and array-api-strict. Where NumPy can do much
better there is a second, fast path behind `is_numpy`. Nothing moves an array from one device to another,
except `to_numpy`, which is called where a person asks for numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import array_api_compat
import array_api_compat.numpy
import numpy as np

from striate.errors import UserError

Array = Any
"""An array of any library that follows the array API standard."""

Pair = int | tuple[int, int]
"""One number for height and width, or one for each."""


def namespace(*arrays: Array | None) -> Any:
    """Return the array library of `arrays` in its standard form; those that are None are passed over.

    Raises:
        TypeError: they belong to different libraries, or one is no array (a list, say).
    """
    given = [array for array in arrays if array is not None]
    if all(isinstance(array, np.ndarray) for array in given):
        return array_api_compat.numpy
    try:
        return array_api_compat.array_namespace(*given)
    except TypeError:
        kinds = ", ".join(sorted({f"{type(array).__module__}.{type(array).__qualname__}" for array in given}))
        raise TypeError(f"expected arrays of one library (NumPy, CuPy, torch, ...), got {kinds}") from None


def library(name: str) -> Any:
    """Return the array library called `numpy` or `cupy`, ready to compute.

    Raises:
        UserError: CuPy is not installed, or finds no GPU.
    """
    if name == "numpy":
        return array_api_compat.numpy
    check_choice("name", name, "numpy", "cupy")
    hint = "use --engine numpy (engine='numpy' in Python), which needs no GPU"
    try:
        import cupy
    except ImportError as error:
        raise UserError(
            f"engine 'cupy' needs the package cupy-cuda12x, which is not here; {hint}."
        ) from error
    try:
        devices = int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError:
        devices = 0
    if not devices:
        raise UserError(f"engine 'cupy' needs an NVIDIA GPU, and there is none here; {hint}.")
    return cupy


def is_numpy(*arrays: Array | None) -> bool:
    """Tell whether all of `arrays` but those that are None are NumPy's: then a fast path may be taken."""
    return all(array is None or isinstance(array, np.ndarray | np.generic) for array in arrays)


def device(array: Array) -> Any:
    """Return where `array` lies, in the form in which its library takes `device=`."""
    return array_api_compat.device(array)


def to_numpy(array: Array) -> np.ndarray:
    """Return `array` as a NumPy array on the host: for reports and files, never inside a computation."""
    if is_numpy(array):
        return np.asarray(array)
    for method in ("get", "numpy"):  # CuPy, torch
        if hasattr(array, method):
            return np.asarray(getattr(array.cpu() if method == "numpy" else array, method)())
    xp = namespace(array)
    if hasattr(xp, "Device"):  # array-api-strict: only its CPU device can be read
        array = array_api_compat.to_device(array, xp.Device("CPU_DEVICE"))
    return np.from_dlpack(array).copy()


def from_numpy(values: np.ndarray, like: Array) -> Array:
    """Return `values` in the library and on the device of `like`, floating ones in its dtype."""
    if is_numpy(like):
        dtype = like.dtype if np.issubdtype(values.dtype, np.floating) else values.dtype
        return np.array(values, dtype=dtype)
    xp = namespace(like)
    dtype = like.dtype if np.issubdtype(values.dtype, np.floating) else getattr(xp, values.dtype.name)
    return xp.asarray(values, dtype=dtype, device=device(like), copy=True)


def zeros(shape: Sequence[int], like: Array) -> Array:
    """Return zeros of `shape` in the library, dtype and device of `like`."""
    if is_numpy(like):
        return np.zeros(shape, like.dtype)
    return namespace(like).zeros(tuple(shape), dtype=like.dtype, device=device(like))


def full(shape: Sequence[int], value: float, like: Array) -> Array:
    """Return an array of `shape` filled with `value`, in the library, dtype and device of `like`."""
    if is_numpy(like):
        return np.full(shape, value, like.dtype)
    return namespace(like).full(tuple(shape), value, dtype=like.dtype, device=device(like))


def arange(stop: int, like: Array) -> Array:
    """Return int64 0, 1, ..., stop - 1 in the library and on the device of `like`."""
    if is_numpy(like):
        return np.arange(stop, dtype=np.int64)
    xp = namespace(like)
    return xp.arange(stop, dtype=xp.int64, device=device(like))


def check_array(name: str, value: Any) -> None:
    """Refuse what is no array, a list or None say; and NumPy's kinds with an arithmetic of their own.

    Raises:
        TypeError: names argument, expected and got.
    """
    plain = type(value) is np.ndarray or not isinstance(value, np.matrix | np.ma.MaskedArray)
    if not plain or not hasattr(value, "dtype") or not hasattr(value, "shape"):
        raise TypeError(f"{name}: expected an array, got {type(value).__name__}")


def check_float(**arrays: Array | None) -> None:
    """Refuse arrays that are not float32 or float64, or not all of one dtype; the names are the arguments'.

    The first one must be there; later ones may be None.

    Raises:
        TypeError: names argument, expected and got.
    """
    first = None
    array: Any
    for name, array in arrays.items():
        if array is None and first is not None:
            continue
        check_array(name, array)
        dtype = _numpy_name(array.dtype) if is_numpy(array) else _name(array.dtype)
        if dtype not in ("float32", "float64"):
            raise TypeError(f"{name}: expected float32 or float64, got {dtype}{_hint(dtype)}")
        first = first or (name, dtype)
        if dtype != first[1]:
            raise TypeError(f"{name}: expected {first[1]} as {first[0]} has, got {dtype}")


def _hint(dtype: str) -> str:
    """Return how numbers become floats; `>i2` and `>f8` are names too, of numbers from other machines."""
    kind = dtype.lstrip("<>")
    if kind.startswith(("i", "u")):
        return "; images of whole numbers become floats by x.astype(np.float32) / 255"
    return "" if kind.startswith("c") else "; take x.astype(np.float32)"


def _name(dtype: Any) -> str:
    """Return `float32` and the like for any library's dtype; they cannot be compared with each other."""
    return str(dtype).rpartition(".")[2]


_numpy_name = cache(_name)
"""The same for NumPy's dtypes, whose names take longer to make than many a layer to start."""


def check_ndim(name: str, array: Array, allowed: tuple[int, ...], layout: str) -> None:
    """Refuse an array whose number of dimensions is not `allowed`.

    Args:
        name: the argument's.
        array: its value.
        allowed: numbers of dimensions.
        layout: what they are, `(N, C, H, W) or (C, H, W)`.

    Raises:
        TypeError: no array.
        ValueError: names argument, expected and got.
    """
    check_array(name, array)
    if array.ndim not in allowed:
        raise ValueError(f"{name}: expected {layout}, got shape {tuple(array.shape)}")


def check_shape(name: str, array: Array, expected: Sequence[int]) -> None:
    """Refuse an array that has not exactly the `expected` shape: nothing is ever broadcast silently.

    Raises:
        TypeError: no array.
        ValueError: names argument, expected and got.
    """
    check_array(name, array)
    if tuple(array.shape) != tuple(expected):
        raise ValueError(f"{name}: expected shape {tuple(expected)}, got {tuple(array.shape)}")


def check_dtype(name: str, array: Array, expected: str, source: str) -> None:
    """Refuse an array that has not the dtype called `expected`, which that from `source` has.

    Raises:
        TypeError: no array, or of another dtype.
    """
    check_array(name, array)
    if _name(array.dtype) != expected:
        raise TypeError(f"{name}: expected {expected}, {source}, got {_name(array.dtype)}")


def check_generator(name: str, value: Any) -> None:
    """Refuse what is no generator of NumPy's.

    Raises:
        TypeError: names argument, expected and got.
    """
    if not isinstance(value, np.random.Generator):
        raise TypeError(f"{name}: expected numpy.random.default_rng(seed), got {value!r}")


def check_axis(name: str, value: Any, ndim: int) -> int:
    """Return `value` as an axis from 0 on, or refuse what is none of an array with `ndim` dimensions.

    An array without dimensions is taken to have one, as in torch.

    Raises:
        TypeError: no whole number.
        ValueError: names argument, expected and got.
    """
    dimensions = max(ndim, 1)
    axis = check_whole(name, value, minimum=None)
    if not -dimensions <= axis < dimensions:
        raise ValueError(f"{name}: expected from {-dimensions} to {dimensions - 1}, got {axis}")
    return axis % dimensions


def check_whole(name: str, value: Any, minimum: int | None = 1) -> int:
    """Return `value` as an int, or refuse what is no whole number of at least `minimum`, if there is one.

    Raises:
        TypeError: no whole number.
        ValueError: smaller than `minimum`.
    """
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise TypeError(f"{name}: expected a whole number, got {value!r}")
    if minimum is not None and value < minimum:
        raise ValueError(f"{name}: expected at least {minimum}, got {value}")
    return int(value)


def check_number(name: str, value: Any, minimum: float = -math.inf, maximum: float = math.inf) -> float:
    """Return `value` as a float, or refuse what is no finite number from `minimum` to `maximum`.

    Raises:
        TypeError: no number.
        ValueError: smaller or larger, infinite or undefined.
    """
    if not isinstance(value, int | float | np.integer | np.floating) or isinstance(value, bool):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    if not (minimum <= value <= maximum and math.isfinite(value)):
        expected = "a finite number" if minimum == -math.inf else f"a number of at least {minimum:g}"
        expected = expected if maximum == math.inf else f"from {minimum:g} to {maximum:g}"
        raise ValueError(f"{name}: expected {expected}, got {value}")
    return float(value)


def check_pair(name: str, value: Any, minimum: int = 1) -> tuple[int, int]:
    """Return (height, width) for one whole number or two of at least `minimum`.

    Raises:
        TypeError: neither one whole number nor two.
        ValueError: one is smaller than `minimum`.
    """
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise ValueError(f"{name}: expected one number or two (height, width), got {value!r}")
        return (check_whole(name, value[0], minimum), check_whole(name, value[1], minimum))
    one = check_whole(name, value, minimum)
    return (one, one)


def check_choice(name: str, value: Any, *known: str) -> None:
    """Refuse a `value` that is not one of the `known` words.

    Raises:
        ValueError: names argument, expected and got.
    """
    if value not in known:
        raise ValueError(f"{name}: expected {' or '.join(map(repr, known))}, got {value!r}")
