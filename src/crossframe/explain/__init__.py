"""Reasons for an answer: which frames, which places, and what frames tell each other. docs/explain.md derives it.

`attention` lets a model show the weights that it computes with, `relevance` carries an answer back through them,
`explain` asks all questions about one clip, and `pictures` shows the answers.
"""
