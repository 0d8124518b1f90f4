"""The one place where text leaves for a terminal, the console or a log: as a line that is shown.

Names of files, hosts, tasks and labels are whatever somebody chose: a terminal would obey the
escape sequences in them (console_codes(4)), and a log begin a new line. Every boot imports this.
"""


def one_line(text: str) -> str:
    r"""Return the text with whatever is not printable escaped as Python does it: \n, \x1b, \u202e.

    So nothing moves the cursor, begins another line or turns the direction; what is no UTF-8, and
    came as os.fsdecode has it, is \udcNN.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
