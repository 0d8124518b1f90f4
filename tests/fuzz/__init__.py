"""Images and marks changed at random, most of them with right checksums again.

`specimens` are what is changed, `mutate` changes them, `run` tries one after the other in a process
with little memory: `python -m tests.fuzz.run SEED COUNT FOLDER MEBIBYTES` prints what
came of them.
"""
