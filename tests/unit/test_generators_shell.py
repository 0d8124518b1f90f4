"""Plain assignments are carried out as bash does, all else is not; and what is read by that.

That is the files of dracut, and RESUME= of initramfs-tools.
"""

import json
from pathlib import Path

import pytest

from initramfs.archive.initramfs import Initramfs
from initramfs.generators import dracut
from initramfs.generators.generator import Boot, Target
from initramfs.generators.initramfs_tools import stock_resume
from initramfs.generators.layers import Crypt, Volume
from initramfs.generators.shell import Value, assign, names, value_of
from linux.root import Root
from state.location import Location
from tests.tools import output
from tests.unit.fake_root import write
from torpor.enable.system import NOTE

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
    kind, *values = output("bash", "-c", script).split("\0")[:-1]
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


ETC, LIB = "/etc/dracut.conf.d", "/usr/lib/dracut/dracut.conf.d"
RUN = "/run/initramfs/dracut.conf.d"
OPENED = (
    Crypt("luks-swap", "11111111-2222-3333-4444-555555555555", "sda2"),
    Volume("vg-swap", "vg/swap"),
)
OURS = {f"{ETC}/torpor.conf": NOTE + dracut.DRACUT.text(Target(Location("x"), OPENED))}
YES, NO = 'uefi="yes"\n', "uefi=no\n"
ONLY_A_SHELL = "if [[ -e /efi ]]; then uefi=yes; fi\n"
OMITS = 'omit_dracutmodules+=" torpor "\n'


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, False),
        ({"/etc/dracut.conf": YES}, True),
        ({f"{ETC}/uefi.conf": YES}, True),
        ({f"{ETC}/9-a.conf": NO, f"{ETC}/10-b.conf": YES}, True),
        ({f"{ETC}/9-a.conf": YES, f"{ETC}/10-b.conf": NO}, False),
        ({f"{LIB}/50-uki.conf": YES}, True),
        ({f"{RUN}/50-uki.conf": YES}, True),
        ({f"{LIB}/50-uki.conf": YES, f"{ETC}/10-mine.conf": NO}, True),
        ({f"{LIB}/50-uki.conf": YES, f"{ETC}/50-uki.conf": ""}, False),
        ({f"{LIB}/50-uki.conf": NO, f"{RUN}/50-uki.conf": YES}, False),
        ({f"{ETC}/uefi.conf.rpmsave": YES, f"{ETC}/uefi": YES, f"{ETC}/.uefi.conf": YES}, False),
        ({f"{ETC}/a.conf": ONLY_A_SHELL}, False),
        ({f"{ETC}/a.conf": ONLY_A_SHELL, f"{ETC}/b.conf": YES}, True),
        ({f"{ETC}/a.conf": YES, f"{ETC}/b.conf": ONLY_A_SHELL}, False),
        ({f"{ETC}/a.conf": YES, f"{ETC}/b.conf": "[[ -e /x ]] && compress=xz\n"}, True),
        ({f"{ETC}/a.conf": YES, f"{ETC}/b.conf": ". /etc/more\n"}, False),
    ],
)
def test_unified_kernel_images(files: dict[str, str], expected: bool, root: Root) -> None:
    """As files have it that dracut reads; and our own file, which has an if, changes nothing."""
    write(root, files)
    assert dracut.makes_unified(root) is expected
    write(root, OURS)
    assert dracut.makes_unified(root) is expected


def test_a_link_to_nothing_hides_nothing(root: Root) -> None:
    write(root, {f"{LIB}/a.conf": YES, f"{LIB}/b.conf": OMITS, f"{ETC}/other.conf": ""})
    Path(root.path(f"{ETC}/a.conf")).symlink_to("gone")
    assert dracut.makes_unified(root)
    Path(root.path(f"{ETC}/b.conf")).symlink_to("/dev/null")
    assert not kept_out(root)


def kept_out(root: Root) -> str:
    return dracut.DRACUT.keeps_out(Boot(root, "", Initramfs(), []))


@pytest.mark.parametrize(
    ("path", "is_read"),
    [
        ("/etc/dracut.conf", True),
        (f"{ETC}/x.conf", True),
        (f"{LIB}/x.conf", True),
        (f"{ETC}/x.conf.rpmsave", False),
        (f"{ETC}/x.conf~", False),
        (f"{LIB}/generic/x.conf", False),
    ],
)
def test_the_file_that_leaves_us_out(path: str, is_read: bool, root: Root) -> None:
    write(root, OURS | {path: OMITS})
    assert kept_out(root) == (f"take torpor out of omit_dracutmodules in {path}" * is_read)
    assert (path in dracut.files(root)) is is_read


TAKE_OUT = f"take torpor out of omit_dracutmodules in {ETC}/a.conf"
ADD = f'put add_dracutmodules+=" torpor " into a file in {ETC}'


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("", ""),
        ('omit_dracutmodules+=" my-torpor "', ""),
        ('omit_dracutmodules+=" torpor "\nomit_dracutmodules=" lvm "', ""),
        ('omit_dracutmodules=" lvm "\nomit_dracutmodules+=" torpor "', TAKE_OUT),
        ('[[ -e /x ]] && omit_dracutmodules=""\nomit_dracutmodules+=" torpor "', TAKE_OUT),
        ('# omit_dracutmodules+=" torpor "', ""),
        ('dracutmodules="base kernel-modules"', ADD),
        ('dracutmodules+=" base my-torpor "', ADD),
        ('dracutmodules+=" base torpor "', ""),
        ('dracutmodules="base"\nadd_dracutmodules+=" torpor "', ""),
        ('dracutmodules="base"\nforce_add_dracutmodules+=" torpor "', ""),
        ('dracutmodules="all"', ""),
        ('dracutmodules="auto"', ""),
        ('dracutmodules="base"\nadd_dracutmodules="torpor"\nforce_add_dracutmodules="lvm"', ""),
        ('dracutmodules="base"\ndracutmodules=""', ""),
        ('dracutmodules="base torpor"\nomit_dracutmodules="torpor"', TAKE_OUT),
    ],
)
def test_modules_of_which_ours_is_none(said: str, remedy: str, root: Root) -> None:
    write(root, OURS | {f"{ETC}/a.conf": f"{said}\n"})
    assert kept_out(root) == remedy


READ = """
for d in "$@"; do
    for i in "$d/"*.conf; do if [[ -e $i ]]; then echo "${i##*/}"; fi; done
done | sort -Vu | while read -r f; do
    for d in "$@"; do if [[ -e $d/$f ]]; then cat "$d/$f"; continue 2; fi; done
done
"""
"""dropindirs_sort of dracut 112."""


def test_files_are_read_as_dracut_does(root: Root) -> None:
    names = ("10-b", "9-a", "a", "torpor", "zz", "a-b", "A", "01-dist", "1.2", "1.10", "a_b")
    for number, folder in enumerate((ETC, LIB, RUN)):
        files = {f"{folder}/{name}.conf": f"{folder}/{name}\n" for name in names[number * 3 :]}
        write(root, files | {f"{folder}/none": "no"})
    folders = [root.path(folder) for folder in (ETC, LIB, RUN)]
    usual = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
    said = output("bash", "-c", READ, "bash", *folders, env=usual)
    read = [(root.text(path) or "").strip() for path in dracut.files(root)[1:]]
    assert read == said.split() != []


CONF = "/etc/initramfs-tools/initramfs.conf"
PART = "/etc/initramfs-tools/conf.d/{}"
SHARED = "/usr/share/initramfs-tools/conf.d/{}"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, ""),
        ({CONF: "RESUME=auto\n"}, "auto"),
        ({CONF: "#RESUME=/dev/a\nMODULES=most\n"}, ""),
        ({PART.format("resume"): "RESUME='LABEL=my swap'\n"}, "LABEL=my swap"),
        ({PART.format("resume"): 'RESUME="LABEL=my swap" # here\n'}, "LABEL=my swap"),
        ({PART.format("resume"): "RESUME=/dev/mapper/vg-swap#1\n"}, "/dev/mapper/vg-swap#1"),
        ({PART.format("resume"): "export RESUME=/dev/a\n"}, ""),
        ({PART.format("resume"): "RESUME=$(findmnt swap)\n"}, ""),
        ({CONF: "RESUME=/dev/a\n", PART.format("resume"): "if true; then RESUME=b; fi\n"}, ""),
        ({CONF: "RESUME=/dev/a\n", PART.format("resume"): "RESUME=\n"}, ""),
        ({CONF: "RESUME=/dev/a\n", PART.format("resume"): "RESUME=/dev/b\n"}, "/dev/b"),
        ({PART.format("a"): "RESUME=/dev/a\n", PART.format("b"): "RESUME=/dev/b\n"}, "/dev/b"),
        ({PART.format("resume~"): "RESUME=/dev/a\n"}, ""),
        ({PART.format(".resume"): "RESUME=/dev/a\n"}, ""),
        ({PART.format("resume.dpkg-old"): "RESUME=/dev/a\n"}, ""),
        ({SHARED.format("z"): "RESUME=/dev/z\n"}, "/dev/z"),
        ({SHARED.format("z"): "RESUME=/dev/z\n", PART.format("a"): "RESUME=/dev/a\n"}, "/dev/a"),
        ({SHARED.format("z"): "RESUME=/dev/z\n", PART.format("z"): "\n"}, ""),
    ],
)
def test_the_resume_of_initramfs_tools(files: dict[str, str], said: str, root: Root) -> None:
    """As mkinitramfs reads it."""
    write(root, files)
    value, source = stock_resume(root)
    assert value == said
    assert bool(source) == bool(said)
    assert not source or said.rsplit("=", maxsplit=1)[-1] in files[source]


def test_lines_that_double_each_other_are_left_to_a_shell() -> None:
    """Forty of them would be a terabyte."""
    variables: dict[str, Value] = {}
    doubling = "A=0123456789\n" + 'A="$A$A"\n' * 40
    assert assign(doubling, variables).startswith('A="$A$A"\n')
    assert len(str(variables["A"])) < 2 << 20
    listed = "A=(a b)\n" + 'A+=("${A[@]}")\n' * 40
    assert value_of("A", [listed]) is None
    assert value_of("A", ["A=1\n" + 'B="$A$A"\n' * 1000]) == "1"


@pytest.mark.parametrize("piece", ["a", "\\a", "'a'", '"a"'])
def test_a_long_word_takes_no_longer_for_each_letter(piece: str) -> None:
    """Each letter was put behind a copy of all before it: 4 MiB took hours."""
    count = 400_000
    assert value_of("A", [f"A={piece * count}"]) == "a" * count
