"""Training, in one visible step.

`run` goes from a recipe to a folder; `loop` holds the step. Around it, each with one idea: `build` (the model),
`source` (batches and the test), `transform` (augmentation and mixup), `learner` (one forward), `objective` and
`losses`, `optimizer` (groups), `schedule`, `average` (averaged weights), `checkpoint` and `progress`. Nothing is
imported here, so that each part costs only what it needs.
"""
