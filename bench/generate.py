"""Writes so many bytes to its standard output, a pipe: the beginning of a file, over and over.

`python bench/generate.py FILE BYTES PERIOD`. By sendfile, which passes the pages
of the page cache to the pipe: it costs the reader next to nothing.
"""

import os
import sys


def main() -> int:
    path, size, period = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with open(path, "rb") as file:
        done = 0
        while done < size:
            at = done % period
            sent = os.sendfile(1, file.fileno(), at, min(period - at, size - done))
            if not sent:
                raise EOFError(f"{path} is shorter than {period} bytes")
            done += sent
    return 0


if __name__ == "__main__":
    sys.exit(main())
