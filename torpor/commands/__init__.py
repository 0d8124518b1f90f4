"""The commands of `torpor`, one file each.

`add_arguments` fills its parser, `run` does the work, and the file's docstring is what --help
says. A file is imported when its command is asked for. GROUPS has the order of `torpor --help`.
"""

GROUPS = {
    "Use": {
        "doctor": "check that hibernation will work, and say what to do if not",
        "enable": "make systemctl hibernate use Torpor",
        "hibernate": "hibernate now",
        "status": "say how the last hibernation and resume went",
    },
    "Manage": {
        "disable": "undo enable",
        "rebuild": "rebuild the initramfs of every kernel, and check it",
        "announce": "tell the kernel and logind where images are",
        "mkstore": "prepare a device or a file for images",
        "discard": "throw away the image in a store",
        "key": "look after the keys that images are sealed for",
    },
    "Operate a server": {
        "list": "list the images of all machines",
        "prune": "remove old images of all machines",
    },
    "Look at images": {
        "verify": "check every byte of an image",
        "inspect": "say what an image holds, without reading all of it",
    },
    "For scripts": {
        "pack": "make an image of a snapshot stream",
        "unpack": "give an image's snapshot stream back",
        "workingset": "record what is in memory, or bring it back",
    },
}
COMMANDS = {name: text for group in GROUPS.values() for name, text in group.items()}
"""What each does, in a few words."""
