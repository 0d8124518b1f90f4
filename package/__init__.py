"""Makes the Debian package and the tarball in build/package/.

`layout` is the one table of what is installed where; `tree` puts it together once for both, `deb`
and `tarball` wrap it up; `completion` makes the shells' completions from the command's parser.
`debian/` holds the control files, `files/` what only the packages have, `install.sh` the
installer in the tarball.

The name is not `packaging`: a library of that name is what pytest and PyInstaller import.
"""
