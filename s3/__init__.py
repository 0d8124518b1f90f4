"""Speaks S3 to a server, and knows no images.

`scheme` tells a server's URL from a device's name, and imports nothing: every boot asks. `url` and
`credentials` are what a user gives; `signing` is AWS's Signature Version 4. `wire` is a socket that
waits for a bounded time only, `connection` one HTTP/1.1 connection of it, by address. `client` is
for those who read and write objects: it tries again what `failures` finds worth it. `listing` reads
the pages of a list, and `xml` the little that is needed of the server's XML.

A process that is about to freeze the machine resolves the name and makes one request of each kind
before: from then on nothing is imported, opened or resolved, whatever the server does. Nothing here
makes a thread. Errors are ServerError and its kinds; no message and no repr holds a secret.
"""
