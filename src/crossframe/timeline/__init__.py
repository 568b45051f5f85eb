"""Long videos: overlapping windows over time, the segments that they show, and files of these.

- `windows.Grid`: where windows lie; `windows.read_windows`: their frames, from one pass over the file.
- `crossframe.Recognizer.timeline`: a `crossframe.Prediction` of each window, as it comes.
"""
