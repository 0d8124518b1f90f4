"""What tells a server's URL from the name of a device or file. Every boot imports this."""

PLAIN, SECURE = "s3+http://", "s3+https://"


def is_server(text: str) -> bool:
    """Return whether the text means a server, a correct URL or not."""
    return text.startswith("s3+")
