"""The lesson page: one HTML file in which a network can be touched.

`render_lesson` puts the page together, `network_data` is what it holds of a trained network. Its JavaScript
lies in `static/`: `ops.js` computes every operation, the other files are a screen each, or shared by them.
"""

from striate.lesson.network import network_data
from striate.lesson.page import render_lesson

__all__ = ["network_data", "render_lesson"]
