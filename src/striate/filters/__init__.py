"""Classic filters: named kernels, Gabor, banks of them, and applying them to images."""
