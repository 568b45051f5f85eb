"""From a file to the frames that a model sees.

`given` is what a video may be given as, also inside an archive, and what reading it may cost; `remote` downloads what
lies elsewhere. `decode` turns all of it into the wanted frames as tensors; `exact` does so without torch, and keeps a
video open for many reads; `media` is one open stream, of what may be opened. `plan` says which packets the wanted
frames need, by what `headers` and `mpeg4` read of them. `isolate` runs the processes that read many files, without
letting one of them harm the others. `sample` says which frames are wanted, `augment` how they are changed in training.
Nothing is imported here, so that each part costs only what it needs.
"""
