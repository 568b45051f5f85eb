"""Many videos: a table of vectors that is searched by words and by example, and answers about every clip of an archive.

`store` keeps vectors, `indexing` fills it, `finding` asks it; `pages/found.html` shows the answers.
"""
