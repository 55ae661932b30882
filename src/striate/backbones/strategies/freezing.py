"""Which tensors lie below a place in a network that is given as a share, a name or a number."""

from __future__ import annotations

import difflib

from striate.backbones.layout import Layout
from striate.errors import UserError


def below(layout: Layout, place: str) -> frozenset[str]:
    """Return the names of the tensors before `place`.

    Args:
        layout: of the network.
        place: a share of the tensors, above 0 and below 1, rounded to whole ones ("0.75"); the name of a
            module ("features.10"); or a module's position among the outermost ones, from 0 on ("6").

    Raises:
        UserError: no such place, or nothing or everything lies before it.
    """
    share = _share(place)
    if share is not None:
        frozen = layout.tensors[: round(share * len(layout.tensors))]
    else:
        position = layout.modules.index(_module(layout, place))
        order = {module: number for number, module in enumerate(layout.modules)}
        frozen = tuple(tensor for tensor in layout.tensors if order.get(tensor.module, -1) < position)
    if len(frozen) in (0, len(layout.tensors)):
        amount = "everything" if frozen else "nothing"
        raise UserError(f"--freeze {place} freezes {amount} in {layout.name}; choose another place.")
    return frozenset(tensor.name for tensor in frozen)


def _share(place: str) -> float | None:
    """Return `place` as a share, if it is a number with a point."""
    try:
        share = float(place)
    except ValueError:
        return None
    if place.isdecimal():
        return None
    if not 0 < share < 1:
        raise UserError(f"--freeze {place}: expected a share between 0 and 1, as in --freeze 0.75.")
    return share


def _module(layout: Layout, place: str) -> str:
    """Return the name of the module at `place`, a name or a position."""
    outermost = [module for module in layout.modules if "." not in module]
    if place in layout.modules:
        return place
    if place.isdecimal() and int(place) < len(outermost):
        return outermost[int(place)]
    close = difflib.get_close_matches(place, layout.modules, n=3, cutoff=0.5)
    guess = f" Did you mean {' or '.join(close)}?" if close else ""
    raise UserError(
        f"--freeze {place}: {layout.name} has no such module.{guess} Expected a share such as 0.75, a "
        f"position below {len(outermost)}, or a name; the outermost are {', '.join(outermost)}."
    )
