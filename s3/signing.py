"""AWS's Signature Version 4, in headers: it covers method, path, query, all headers and the body.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
The only small library for it, aws-request-signer, takes no time of its own, and ours is the
server's where the clock of a boot is wrong.
"""

import hashlib
import hmac
import time
from collections.abc import Mapping
from urllib.parse import quote

from s3.credentials import Credentials

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNRESERVED = "-._~"
EMPTY = hashlib.sha256(b"").hexdigest()
"""SHA-256 of no body."""


def digest(body: bytes | memoryview) -> str:
    """Return a body's SHA-256, which is signed and sent."""
    return hashlib.sha256(body).hexdigest() if body else EMPTY


def target(path: str, query: Mapping[str, str]) -> str:
    """Return path and query as the request line has them, in the one form that can be signed."""
    pairs = sorted(
        (quote(k, safe=_UNRESERVED), quote(v, safe=_UNRESERVED)) for k, v in query.items()
    )
    sent = "&".join(f"{key}={value}" for key, value in pairs)
    encoded = quote(path, safe=f"/{_UNRESERVED}")
    return f"{encoded}?{sent}" if sent else encoded


def signed(
    credentials: Credentials,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body_digest: str,
    now: float,
) -> dict[str, str]:
    """Return the headers to send: those that are given, `Host` among them, and the signature's.

    `target` is as the function of that name has it; `now` are seconds since 1970, by the server.
    """
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    sent = {key.lower(): value for key, value in headers.items()}
    sent |= {"x-amz-content-sha256": body_digest, "x-amz-date": moment}
    if credentials.session_token:
        sent["x-amz-security-token"] = credentials.session_token
    names = ";".join(sorted(sent))
    lines = "".join(f"{name}:{' '.join(sent[name].split())}\n" for name in sorted(sent))
    path, _, query = target.partition("?")
    canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{body_digest}"
    scope = f"{moment[:8]}/{credentials.region}/s3/aws4_request"
    told = f"{_ALGORITHM}\n{moment}\n{scope}\n{digest(canonical.encode())}"
    key = f"AWS4{credentials.secret_key}".encode()
    for part in (*scope.split("/"), told):
        key = hmac.digest(key, part.encode(), "sha256")
    sent["authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, "
        f"SignedHeaders={names}, Signature={key.hex()}"
    )
    return sent
