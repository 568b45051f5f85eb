"""Numbers that can be trusted: every video counted once, every prediction written down.

`run` evaluates a model on a data set, `scoring` turns views of a clip into probabilities, `metrics` counts, and
`result` holds and saves what was found. Nothing here draws random numbers. Nothing is imported here, so that each
part costs only what it needs.
"""
