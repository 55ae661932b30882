"""One call of a layer, opened for what takes its maps and their gradients. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from striate.explain.arrangement import Arrangement, Grids
from striate.explain.naming import LayerCall
from striate.explain.subject import hooked


class Tap:
    """Makes a layer's output a leaf, as maps, for torchcam's hooks between `open` and `hand_on`.

    Attributes:
        network: the whole network.
        call: of which layer, and which of its calls; without a number each, so that the last one stays.
        calls: so many calls were seen.
        shape: of what the layer put out last, for one image; None: nothing, or no tensor.
    """

    def __init__(self, network: nn.Module, call: LayerCall, input_shape: Sequence[int]) -> None:
        self.network = network
        self.call = call
        self.calls = 0
        self.shape: tuple[int, ...] | None = None
        self._grids = Grids.of(network, input_shape)
        self._follows = False
        self._extractor: Any = None
        self._given: tuple[Arrangement, Tensor] | None = None

    @contextmanager
    def around(self, extractor: Any) -> Iterator[Any]:
        """Give torchcam's `extractor(...)` with its hooks on the layer, between both of these."""
        module = self.network.get_submodule(self.call.name)
        with ExitStack() as hooks:
            hooks.enter_context(hooked(module, self._open))
            self._extractor = hooks.enter_context(extractor())
            hooks.enter_context(hooked(module, self._hand_on))
            yield self._extractor

    @contextmanager
    def following(self) -> Iterator[None]:
        """Open the calls until the block ends; others, as of hidden images, pass as they are."""
        self._follows = True
        try:
            yield
        finally:
            self._follows = False

    def _open(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        """Begin the differentiation here; a tuple or a dictionary is left for others to refuse."""
        self._given = None
        if not self._follows:
            return output
        self.calls += 1
        if self.call.number not in (None, self.calls):
            self._extractor.disable_hooks()
            return output
        if not isinstance(output, Tensor):
            return output
        self.shape = tuple(output.shape[1:])
        values = output.detach()
        order = self._grids.arrangement(self.shape)
        if order is None:
            return values.requires_grad_()
        self._given = order, values
        return order.to_maps(values).contiguous().requires_grad_()

    def _hand_on(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        """Return to the network what it knows, a copy: an in-place activation may overwrite it."""
        if self._follows:
            self._extractor.enable_hooks()
        if self._given is not None:
            order, values = self._given
            output = order.from_maps(output, values)
        return output.clone() if isinstance(output, Tensor) else output
