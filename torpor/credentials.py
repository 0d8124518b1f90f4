"""Where `torpor enable` gets the credentials of a server: a file, what it has kept, or the user."""

from errors import ConfigurationError
from s3.credentials import Credentials
from state.files import read_text
from state.server import PATH
from torpor.enable.system import System
from torpor.passphrase import asked


def credentials_of(path: str | None, system: System) -> Credentials | None:
    """Return the credentials in the file, or typed; None where those that are kept will do.

    Raises ConfigurationError, UnreadableError, and UsageError where there is nobody to type.
    """
    if path is not None:
        text = read_text(path)
        if text is None:
            raise ConfigurationError(f"{path} is not there")
        return Credentials.parse(text, path)
    if system.exists(PATH):
        return None
    access, secret = asked("access key"), asked("secret key")
    return Credentials.parse(f"access_key={access}\nsecret_key={secret}\n", "what was typed")
