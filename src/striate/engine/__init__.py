"""The glass-box engine: a convolutional network in plain array code, every forward beside its backward."""
