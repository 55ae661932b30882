"""One file for each thing a user does: it connects rooms and computes nothing itself.

Nothing is imported here, so that a workflow loads only what it needs. The functions are reached as
`striate.train`, `striate.evaluate`, `striate.predict`, `striate.summary` and `striate.describe_data`.
"""
