"""The libraries that networks come from, each behind the same few functions.

Importing this loads neither torch nor a library; `open_library` loads the one it is asked for.
"""

from striate.backbones.libraries.library import Library, Weights, open_library

__all__ = ["Library", "Weights", "open_library"]
