"""What a user gives for a server: its URL, and credentials."""

import pytest

from errors import ConfigurationError
from s3.credentials import Credentials
from s3.scheme import is_server
from s3.url import ServerUrl
from tests.tools import python

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("text", "parts", "authority"),
    [
        ("s3+https://h.example/bucket", (True, "h.example", 443, "bucket", ""), "h.example"),
        ("s3+http://h/bucket/a/b_c.~-d", (False, "h", 80, "bucket", "a/b_c.~-d"), "h"),
        ("s3+http://h:443/b.1-c", (False, "h", 443, "b.1-c", ""), "h:443"),
        ("s3+https://10.0.2.2:9000/B_c", (True, "10.0.2.2", 9000, "B_c", ""), "10.0.2.2:9000"),
        ("s3+https://[fe80::1]/bucket", (True, "fe80::1", 443, "bucket", ""), "[fe80::1]"),
        ("s3+https://[::1]:90/bucket/x", (True, "::1", 90, "bucket", "x"), "[::1]:90"),
    ],
)
def test_urls(text: str, parts: tuple[object, ...], authority: str) -> None:
    url = ServerUrl.parse(text)
    assert url == parts
    assert str(url) == text
    assert url.authority == authority
    assert ServerUrl.parse(f"{text}/") == url
    assert is_server(text)


def test_a_usual_port_is_not_repeated() -> None:
    assert str(ServerUrl.parse("s3+https://h:443/bucket")) == "s3+https://h/bucket"
    assert str(ServerUrl.parse("s3+http://h:80/bucket/a")) == "s3+http://h/bucket/a"


def test_keys_are_below_the_prefix() -> None:
    assert ServerUrl.parse("s3+https://h/bucket").path("k/1") == "/bucket/k/1"
    assert ServerUrl.parse("s3+https://h/bucket/a/b").path("k/1") == "/bucket/a/b/k/1"


@pytest.mark.parametrize(
    "text",
    [
        *("", "s3+", "s3+https://", "s3+https://h", "s3+https://h/", "s3+https:///bucket"),
        *("https://h/bucket", "s3://bucket/a", "s3+ftp://h/bucket", "S3+HTTPS://h/bucket"),
        *(
            "s3+https://h/b",
            "s3+https://h//bucket",
            "s3+https://h/bucket//a",
            "s3+https://h/-ucket",
        ),
        *("s3+https://h/bucket/a//", "s3+https://h/bucket/..", "s3+https://h/bucket/a/./b"),
        *("s3+https://h/bucket/%41", "s3+https://h/bucket/a b", "s3+https://h/bucket/ä"),
        *(
            "s3+https://ä.example/bucket",
            "s3+https://h:/bucket",
            "s3+https://.h/bucket",
            "s3+https://h:0/bucket",
        ),
        *("s3+https://h:65536/bucket", "s3+https://h:123456/bucket", "s3+https://::1/bucket"),
        *("s3+https://h/bucket#a", "s3+https://h/bucket\n", f"s3+https://h/bucket/{'a' * 500}"),
        "s3+https://h/bucket/a\r\nX: y",
    ],
)
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        ServerUrl.parse(text)
    assert f"'{text}'" in str(raised.value)
    assert "HOST[:PORT]/BUCKET[/PREFIX]" in raised.value.hint


@pytest.mark.parametrize(
    "text", ["s3+https://me:hidden@h/bucket", "s3+https://h/bucket?X-Amz-Signature=hidden"]
)
def test_what_may_be_secret_in_a_url_is_not_repeated(text: str) -> None:
    with pytest.raises(ConfigurationError, match="neither credentials nor a query") as raised:
        ServerUrl.parse(text)
    assert "hidden" not in str(raised.value) + raised.value.hint


def test_whether_it_is_a_server_costs_a_boot_nothing() -> None:
    program = (
        "import sys; before = {*sys.modules}; import s3.scheme; print({*sys.modules} - before)"
    )
    assert set(eval(python(program))) == {"s3", "s3.scheme"}
    assert [is_server(text) for text in ("s3+", "/dev/sda", "UUID=s3+", "")] == [
        *(True, False, False, False)
    ]


@pytest.mark.parametrize(
    "made",
    [
        Credentials("AKID", "s/e+c=r,et#"),
        Credentials("AKID", "secret", "to/ken==", "eu-west-3", PEM * 2),
    ],
)
def test_credentials_are_kept(made: Credentials) -> None:
    assert Credentials.parse(made.build(), "a file") == made
    assert Credentials.parse(f"# a comment\n\n{made.build()}", "a file") == made


def test_defaults_and_blanks() -> None:
    text = "access_key = AKID\r\n  secret_key=secret \n"
    assert Credentials.parse(text, "a file") == Credentials("AKID", "secret")
    assert Credentials("AKID", "secret").region == "us-east-1"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "a file has no access_key"),
        ("access_key=AKID\n", "a file has no secret_key"),
        ("secret_key=hidden\n", "a file has no access_key"),
        ("access_key=AKID\nsecret_key=\n", "a file: line 2 is not understood"),
        ("access_key=AK ID\nsecret_key=hidden\n", "a file: line 1 is not understood"),
        ("access_key=AK/ID\nsecret_key=hidden\n", "a file: line 1 is not understood"),
        ("access_key=AKID\nsecret_key=hidden\nsecret_key=hidden\n", "line 3"),
        ("access_key=AKID\nsecret_key=hiddän\n", "line 2"),
        ("hidden\n", "line 1"),
        ("access_key=AKID\nsecret=hidden\n", "line 2"),
        ("access_key=AKID\nsecret_key=hidden\nregion=a b\n", "line 3"),
        (f"access_key=AKID\nsecret_key=hidden\n{PEM}ä", "a file: a certificate is no PEM"),
    ],
)
def test_credentials_that_are_none(text: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why) as raised:
        Credentials.parse(text, "a file")
    assert "hid" not in str(raised.value) + raised.value.hint


def test_secrets_are_not_shown() -> None:
    made = Credentials("AKID", "hidden", "hidden too", ca="hidden as well")
    assert (
        repr(made) == str(made) == f"{made}" == "Credentials(access_key='AKID', region='us-east-1')"
    )
