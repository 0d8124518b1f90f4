"""Makes the Debian package, its source package and the tarball in build/package/.

`tree` is the one table of what is installed where, builds it for both, and wraps it up with
`install.sh` as the tarball. `source` makes the source package: the repository, debian/ at its root,
and the wheels to build it without a network; then it runs its rules, `debian/rules`, on the
programs that are frozen already. `completion` makes the shells' completions from the command's
parser, `files/` has what only the packages have. `rpm/` and `arch/` wrap the tarball up for others.

The name is not `packaging`: a library of that name is what pytest and PyInstaller import.
"""
