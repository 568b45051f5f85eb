"""Training, in one visible step.

`run` goes from a recipe to a folder; `loop` holds the step. Around it, each with one idea: `build` (the model and its
loop), `source` (batches and the test), `transform` (augmentation and mixing), `objective` (the losses), `optimizer`
(groups, averaged weights), `schedule`, `checkpoint` (the run's folder), `progress`, `launch` and `fsdp` (processes);
`memory` and `dry_run` say beforehand what a run takes. Nothing is imported here, so that each part costs only what it
needs.
"""
