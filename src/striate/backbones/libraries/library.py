"""What Striate wants to know of a library of networks."""

from __future__ import annotations

import importlib
import os
import pickle
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import urlparse

from striate.backbones.preprocessing import Preprocessing
from striate.errors import UserError

if TYPE_CHECKING:
    import torch

SECONDS_TO_CONNECT = 5.0
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


class Weights(NamedTuple):
    """Tensors that were learned elsewhere.

    Attributes:
        tensors: by the names of the library's network.
        source: where they come from, for people.
    """

    tensors: dict[str, torch.Tensor]
    source: str


class Library(Protocol):
    """A module of this folder.

    Attributes:
        VERSION: of the library.
        IGNORED: beginnings of tensor names that pretrained files have and networks for one output do not.
    """

    VERSION: str
    IGNORED: tuple[str, ...]

    def names(self) -> Sequence[str]:
        """Return the names of all classifiers."""
        ...

    def has(self, name: str) -> bool:
        """Whether there is a classifier of that name."""
        ...

    def arguments(self, name: str, size: tuple[int, int] | None) -> dict[str, Any]:
        """Return the arguments that `build` needs for images of a size; None: the network's own."""
        ...

    def build(self, name: str, arguments: dict[str, Any]) -> tuple[torch.nn.Module, int]:
        """Return the network with random weights and the number of its outputs; asks no network for anything.

        Draws from torch's global generator.
        """
        ...

    def preprocessing(self, name: str) -> Preprocessing:
        """Return how pictures become the input that the pretrained weights were trained on."""
        ...

    def pretrained(self, name: str, arguments: dict[str, Any]) -> Weights:
        """Return the pretrained weights, from the library's cache or by download.

        Raises:
            UserError: there are none, or they cannot be fetched.
        """
        ...

    def modern(self, tensor_name: str) -> str:
        """Return today's name of a tensor that a file of an earlier version calls `tensor_name`."""
        ...


def open_library(name: str) -> Library:
    """Import the module for the library called `name`, and the library.

    Raises:
        UserError: the library is not installed.
    """
    try:
        module: Any = importlib.import_module(f"striate.backbones.libraries.from_{name}")
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise UserError(f"{name} is not installed; install it: pip install {name}.") from error
    library: Library = module
    return library


def fetch(name: str, source: str, url: str | None, load: Callable[[], Any]) -> Any:
    """Return what `load` returns; that it cannot be fetched is told in a line, and at once.

    Args:
        name: of the network.
        source: where the weights come from, for people.
        url: what `load` will download from, tried first: the libraries' clients wait and try for long. None:
            nothing is downloaded.
        load: returns the weights.

    Raises:
        UserError: the weights cannot be fetched, or the file holds more than tensors.
    """
    try:
        if url is not None and not any(os.environ.get(variable) for variable in _PROXIES):
            address = urlparse(url)
            socket.create_connection(
                (address.hostname or "", address.port or 443), timeout=SECONDS_TO_CONNECT
            ).close()
        return load()
    except pickle.UnpicklingError as error:
        raise UserError(
            f"the file with the weights of {name} from {source} holds more than tensors: refused, "
            "nothing in it was run."
        ) from error
    except (OSError, RuntimeError) as error:  # no network, no such file, a checksum that does not fit
        reason = " ".join(str(getattr(error, "reason", error)).split())[:200]
        raise UserError(
            f"cannot fetch the pretrained weights of {name} from {source}: {reason}. Give --weights FILE, "
            "--weights random, or --model lite0, whose weights are installed."
        ) from error
