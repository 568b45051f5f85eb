"""From a file to the frames that a model sees.

`decode` turns a path, bytes or an array into the wanted frames as tensors; `exact` does so without torch, and keeps a
video open for many reads; `media` is one open stream, and `tar` the videos inside archives. `plan` says which packets
the wanted frames need, by what `headers` and `mpeg4` read of them. `isolate` reads many files in processes (`worker`),
without letting one of them harm the others. `sample` says which frames are wanted,
`augment` how they are changed in training, `encode` how videos are written. Nothing is imported here, so that each part
costs only what it needs.
"""
