"""Visualised features as a page, and as picture files."""

from __future__ import annotations

from striate.explain.gallery import Gallery, Tile, tile
from striate.explain.visualisation import Visualised

DOUBTFUL = 0.5
"""A picture that keeps less than this share of its effect when it is moved is marked."""
_ABOUT = (
    "Each picture began as noise and was changed, step by step, so that {what} rose. It shows what excites "
    "{it} most; it does not show all that does, and photos may never look like it.",
    "Below each stand what the noise excited and what the picture does, and the share of this rise that it "
    "keeps when it is shifted, scaled and turned. A picture that keeps little is a pattern of single pixels, "
    "not a feature.",
)


def gallery_of(made: Visualised) -> Gallery:
    """Return what the page shows."""
    count = len(made.channels)
    if not made.layer:
        title = f"What {count} class{'' if count == 1 else 'es'} of {made.model} respond{_s(count)} to"
        what, it = "the score of its class", "a class"
    elif made.place is not None:
        row, column = made.place
        title = f"{made.layer} of {made.model}: what row {row}, column {column} responds to"
        what, it = "this one number", "it"
    else:
        title = f"{made.layer} of {made.model}: what {count} channel{_plural(count)} respond{_s(count)} to"
        what, it = "the mean of its channel", "a channel"
    lead = tuple(text.format(what=what, it=it) for text in _ABOUT)
    tiles = tuple(_tile(made, row) for row in range(count))
    return Gallery("Gradient ascent from noise", title, lead, tiles, _notes(made))


def _tile(made: Visualised, row: int) -> Tile:
    name, share = made.names[row], float(made.shares[row])
    stuck = row in made.unmoved
    lines = (
        f"{made.before[row]:.3g} → {made.after[row]:.3g}",
        "did not rise" if stuck else f"keeps {share:.0%}",
    )
    shows = f"what excites {name}"
    title = name if made.layer == "" else f"channel {name}"
    return tile(title, [(made.images[row], shows)], lines, stuck or share < DOUBTFUL)


def _notes(made: Visualised) -> tuple[str, ...]:
    notes = []
    if len(made.unmoved):
        notes.append(f"{len(made.unmoved)} of {len(made.channels)} did not rise: nothing excited them.")
    weak = int((made.shares < DOUBTFUL).sum()) - len(made.unmoved)
    if weak > 0:
        notes.append(
            f"{weak} of {len(made.channels)} keep less than half of their effect when they are moved: "
            "do not read them as features."
        )
    return tuple(notes)


def _plural(count: int) -> str:
    return "" if count == 1 else "s"


def _s(count: int) -> str:
    return "s" if count == 1 else ""
