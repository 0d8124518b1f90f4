"""Freezes the two programs with PyInstaller: `python -m package.frozen`.

build/torpor/torpor is the command, build/torpor-resume/torpor-resume the resumer, which holds only
what it needs; each a folder of its own, stripped, because one-file programs unpack themselves at
every start. Beside them torpor.needs and torpor-resume.needs list, one absolute path a line, what
an initramfs has to hold: every file of the folder, where it is installed, and the libraries and
the ELF interpreter that it takes from its host; but torpor-resume-sealing.needs has the files that
are imported only where images are sealed, and torpor-resume-server.needs those for a store on a
server. The hooks in initramfs/ read these lists.

program.spec is what PyInstaller does: modules as files, which Python's own machinery imports, and
nothing of PyInstaller's in front of them but bootstrap.py here. entry/ has the scripts that the
programs start with. Nothing of what is frozen may import from here.
"""
