"""Shapes: a generated world of colored shapes that do things, small enough to train in, made of real video files.

`looks` names the colors, shapes and sizes, and `actions` what things do; `motion` says how a thing in motion looks at
each moment; `scene` is a whole clip as plain data and `draw` draws one from a random generator; `outlines`,
`background` and `render` turn it into frames; `caption` puts it into words, and `factors` names what is hard about it;
`splits` says which clips exist for training and for testing; `write` makes H.264 files with a manifest; `preview` draws
a contact sheet. Nothing is imported here, and all of it works without torch.
"""

VERSION = 2  # of the world: another one draws other clips from the same seeds, so their scores must not be compared
