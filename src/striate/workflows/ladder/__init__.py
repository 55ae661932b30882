"""The ladder: within a given time, quick networks first, slower ones where they prove better.

    striate train photos --budget 2m

`climbing` goes from step to step, `steps` says which there are, `trials` finds out what a step would cost,
`attempts` carries it out, `record` judges it, `closing` turns what was kept into a run.
"""

from striate.workflows.ladder.climbing import climb

__all__ = ["climb"]
