"""Plain assignments are carried out as bash does; all else is said to be something else."""

import json
import subprocess

import pytest

from initramfs.generators.shell import Value, assign, names, value_of

PLAIN = [
    "HOOKS=(base udev)",
    "HOOKS=(a)\nHOOKS=(b c)",
    "HOOKS=(base)\nHOOKS+=(udev block)",
    "HOOKS=(base\n  udev # (the comment)\n\n\tblock)\n",
    "HOOKS='base udev'",
    'HOOKS="base udev"; HOOKS+=" block"',
    "HOOKS=base\\ udev",
    "HOOKS=(a\\\nb c)",
    "HOOKS=(base) MODULES=(x) HOOKS+=(y)",
    "# HOOKS=(no)\n  HOOKS=(yes) # HOOKS=(no)",
    "HOOKS=(a#b '#c' \"#d\")",
    "HOOKS=(a b c)\nHOOKS=x",
    "HOOKS=(a b c)\nHOOKS+=x",
    "HOOKS=abc\nHOOKS+=(d)",
    "HOOKS+=(a)",
    "HOOKS+=a",
    "HOOKS=()",
    "HOOKS=",
    "HOOKS=\nHOOKS+=(a)",
    'MORE=(x y)\nHOOKS=(a "${MORE[@]}" b)',
    'MORE=(x y)\nHOOKS=(a "${MORE[*]}" b)',
    "MORE=(x y)\nHOOKS=(a ${MORE[@]}b)",
    "MORE=(x y)\nHOOKS=(a $MORE b)",
    'MORE=(x y)\nHOOKS="$MORE ${MORE[@]}-$MORE"',
    "MORE=' x  y '\nHOOKS=(a${MORE}b \"$MORE\")",
    "MORE=' x  y '\nHOOKS=$MORE",
    'MORE=\nHOOKS=(a $MORE "$MORE" b)',
    'HOOKS=("a\\$b" "c\\d" "e\\\\f" "g\\\nh" \'i\\j\' "it\'s" \'a "b"\')',
    "HOOKS=(usb? a=b x,y @ % ^ -)",
    "HOOKS=('a'\"b\"c)",
    "HOOKS=('' \"\")",
    "X=1 HOOKS=(a $X) X=2 HOOKS+=($X)",
    "HOOKS=(a)\n\n\n",
    "HOOKS=/keys/*.{key,img}[0]",
    'MODULES_DECOMPRESS="no"\nCOMPRESSION_OPTIONS=(-T0)\nHOOKS=(z)',
]


def by_bash(text: str) -> Value:
    """Return HOOKS as bash has it after the text."""
    script = (
        text
        + """
    if [[ ${HOOKS@a} == *a* ]]; then printf '%s\\0' array "${HOOKS[@]}"
    else printf '%s\\0' string "$HOOKS"; fi"""
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    kind, *values = done.stdout.split("\0")[:-1]
    return values if kind == "array" else values[0]


@pytest.mark.parametrize("text", PLAIN, ids=json.dumps)
def test_plain_assignments_are_as_in_bash(text: str) -> None:
    variables: dict[str, Value] = {}
    assert assign(text, variables) == ""
    assert variables["HOOKS"] == by_bash(text)


@pytest.mark.parametrize(
    "text",
    [
        "if true; then HOOKS=(b); fi",
        "[[ -e /x ]] && HOOKS+=(b)",
        "HOOKS=$(ls)",
        "HOOKS=(`ls`)",
        "HOOKS=(${HOOKS[@]/a/b})",
        "HOOKS=(a (b))",
        "HOOKS=(a",
        "HOOKS='a",
        'HOOKS="a',
        "HOOKS=a\\",
        "HOOKS=(a;b)",
        "HOOKS=(b)&",
        "HOOKS=(b)c",
        "HOOKS=b | HOOKS=c",
        "HOOKS=b printenv",
        "HOOKS[0]=b",
        "HOOKS=$'b'",
        "declare -a HOOKS=(b)",
        "unset HOOKS",
        ". /etc/more",
        "source /etc/more",
        "X=1 . /etc/more",
        "eval x=1",
        "add() { HOOKS+=(b); }",
        "HOOKS=(b) <<<x",
    ],
)
def test_what_is_not_plain_changes_nothing(text: str) -> None:
    variables: dict[str, Value] = {}
    rest = assign(f"HOOKS=(a)\n{text}\n# end", variables)
    assert rest.startswith(text)
    assert variables == {"HOOKS": ["a"]}
    assert names(rest, "HOOKS")


@pytest.mark.parametrize(
    "text", ["HOOKS=({a,b})", "HOOKS=(*)", "HOOKS=~/x", "HOOKS=(a $OTHER)", 'HOOKS="$OTHER"']
)
def test_what_depends_on_more_is_unknown(text: str) -> None:
    variables: dict[str, Value] = {}
    assert assign(f"{text}\nMODULES=(x)\n", variables) == ""
    assert variables == {"HOOKS": None, "MODULES": ["x"]}
    assert assign("HOOKS+=(b)\nMORE=$HOOKS\n", variables) == ""
    assert variables["HOOKS"] is variables["MORE"] is None
    assert assign("HOOKS=(b)\n", variables) == ""
    assert variables["HOOKS"] == ["b"]


@pytest.mark.parametrize("rest", ["echo x\nMODULES=(y)", "# HOOKS\nls # HOOKS", "MYHOOKS=$(ls)"])
def test_what_is_left_may_be_about_something_else(rest: str) -> None:
    assert not names(rest, "HOOKS")


@pytest.mark.parametrize(
    ("texts", "value"),
    [
        ([], None),
        (["HOOKS=a", "MORE=b"], "a"),
        (["HOOKS=a", "HOOKS+=b"], "ab"),
        (["ls", "HOOKS=a"], "a"),
        (["HOOKS=a", "ls"], "a"),
        (["HOOKS=a\nls\nHOOKS=b"], None),
        (["HOOKS=a", ". /etc/more", "HOOKS+=b"], None),
        (["HOOKS=$(ls)", "HOOKS=b"], "b"),
    ],
)
def test_one_text_after_the_other(texts: list[str], value: Value) -> None:
    assert value_of("HOOKS", texts) == value


def test_nothing_crashes() -> None:
    whole = "\n".join(PLAIN)
    for at in range(len(whole)):
        assign(whole[:at], {})
        assign(whole[at:], {})
