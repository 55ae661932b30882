"""Every operation as two pure functions: its forward, and beside it its backward."""
