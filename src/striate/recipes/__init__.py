"""Recipes: settings of a training that go well together, as data that can be read, copied and written.

A recipe is a YAML file: settings, and levels that say how much is trained for which accuracy. Those that come
with Striate lie beside this file; `find` takes their names, or the path of another.
"""

from striate.recipes.recipe import REFERENCE, Level, Recipe, are_characters, find, fitted, names, text

__all__ = ["REFERENCE", "Level", "Recipe", "are_characters", "find", "fitted", "names", "text"]
