"""Numbers that can be trusted: every video counted once, every prediction written down.

`evaluate` measures a model on a data set (`shapes` on the generated world), `trials` says which models on which clips,
`result` holds and saves what was found, and `statistics` counts. Nothing here draws random numbers. Nothing is imported
here, so that each part costs only what it needs.
"""
