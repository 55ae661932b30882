"""How many threads a product of matrices gets."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext


def one_thread(alone: bool) -> AbstractContextManager[object]:
    """Keep BLAS and LAPACK on one thread, if `alone`.

    What is small gains little by a second one; and where the second core has other work, threads that wait
    for each other take several times as long. NumPy's and SciPy's pools, too, delay each other;
    SciPy's is found once it is imported.
    """
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, "blas") if alone else nullcontext()
