"""What opens the server that the store is on, as `torpor enable` keeps it; root alone reads it.

/var/lib/torpor/server has a copy in the initramfs, by the hooks.
"""

import os

from errors import ConfigurationError
from s3.credentials import Credentials
from state.files import read_text

PATH = "/var/lib/torpor/server"
VARIABLE = "TORPOR_CREDENTIALS"
"""Of the environment: names another file, for who operates other machines."""


def read_credentials() -> Credentials:
    """Return them. Raises ConfigurationError, UnreadableError."""
    path = os.environ.get(VARIABLE) or PATH
    text = read_text(path)
    if text is None:
        raise ConfigurationError(
            f"{path} is not there, which says what the server is to be shown",
            f"write it again: torpor enable --store s3+https://…; or name another: {VARIABLE}",
        )
    return Credentials.parse(text, path)
