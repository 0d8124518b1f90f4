"""Our signatures are those of botocore, AWS's own client."""

from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from hypothesis import given
from hypothesis import strategies as st

from s3.credentials import Credentials
from s3.signing import EMPTY, digest, signed, target

NOW = 1767323045.75
LETTERS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
KEYS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30)
WORDS = st.dictionaries(st.sampled_from(["list-type", "prefix", "delimiter", "a&b"]), KEYS)
CONDITIONS = st.sampled_from(
    [{}, {"If-None-Match": "*"}, {"If-Match": '"a  b"'}, {"Range": "bytes=0-1"}]
)


@pytest.fixture(autouse=True, scope="module")
def _now() -> Iterator[None]:
    """Botocore, too, takes that time for now."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            botocore.auth, "get_current_datetime", lambda: datetime.fromtimestamp(NOW, UTC)
        )
        yield


def by_botocore(
    keys: Credentials, method: str, sent: str, headers: dict[str, str], body: bytes
) -> dict[str, str]:
    """Return the headers of a request that botocore has signed."""
    theirs = SimpleNamespace(
        access_key=keys.access_key, secret_key=keys.secret_key, token=keys.session_token
    )
    url = f"https://{headers['Host']}{sent}"
    request = AWSRequest(method, url, {**headers}, body)
    request.context["payload_signing_enabled"] = True
    botocore.auth.S3SigV4Auth(theirs, "s3", keys.region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


@given(
    st.sampled_from(["GET", "PUT", "DELETE"]), KEYS, WORDS, CONDITIONS, st.binary(), st.booleans()
)
def test_signatures(
    method: str,
    key: str,
    query: dict[str, str],
    condition: dict[str, str],
    body: bytes,
    has_token: bool,
) -> None:
    keys = Credentials("AKID", "s/e+c=ret", "to/ken==" if has_token else "", "eu-west-3")
    sent = target(f"/bucket/a/{key}", query)
    headers = {"Host": "server.example:9000"} | condition
    ours = signed(keys, method, sent, headers, digest(memoryview(body)), NOW)
    assert ours == by_botocore(keys, method, sent, headers, body)


@given(LETTERS)
def test_secrets_of_all_kinds(secret: str) -> None:
    keys = Credentials("AKID", secret)
    ours = signed(keys, "GET", "/b/k", {"Host": "h"}, EMPTY, NOW)
    assert ours == by_botocore(keys, "GET", "/b/k", {"Host": "h"}, b"")


def test_an_example_of_aws() -> None:
    """GET Object of "Signature Calculations for the Authorization Header", in the API reference."""
    keys = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    headers = {"Host": "examplebucket.s3.amazonaws.com", "Range": "bytes=0-9"}
    made = signed(keys, "GET", target("/test.txt", {}), headers, digest(b""), 1369353600)
    assert made["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )
