"""A store on an S3 server: a head that is compared and set, and the parts of one image.

docs/FORMAT.md, "On a server". `head` is the mark, `sink` and `source` write and read the image,
`store` puts them together.
"""
