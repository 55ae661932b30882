"""The lesson page: one HTML file in which a network can be touched."""
