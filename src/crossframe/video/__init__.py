"""From a file to the numbers a model sees.

`decode` turns a path, bytes or an array into the wanted frames, exactly; `isolate` does that for many files
without letting one of them harm the others; `sample` says which frames are wanted; `geometry` says which part
of a frame; `transform` turns frames into normalised model input; `official` keeps the habits of the authors'
code that change numbers. Nothing is imported here, so that each part costs only what it needs.
"""
