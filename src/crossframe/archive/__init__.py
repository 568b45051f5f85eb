"""Many videos: a table of vectors that is searched by words and by example, and answers about every clip of an archive.

- `store` keeps vectors, `indexing` fills it, `finding` asks it, `hits` are its answers, `duplicates` compares all.
- `choosing` finds clips to label next and wrong labels, `suggested` writes them.
- `pipeline` runs `decoding` and `annotator` on one machine or many, `results` keeps what they find.
"""
