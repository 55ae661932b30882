"""The lesson page: one HTML file in which a network can be touched."""

from striate.lesson.page import render_lesson

__all__ = ["render_lesson"]
