"""Striate: see how a convolutional image classifier works, train one, trust one."""

__version__ = "0.1.0.dev0"
