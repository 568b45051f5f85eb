"""Numbers that can be trusted: every video counted once, every prediction written down.

`run` takes a model over a data set, `scoring` turns views of a clip into probabilities, `metrics` counts, and
`result` is what comes out and is saved. Nothing here draws random numbers. Nothing is imported here, so that each
part costs only what it needs.
"""
