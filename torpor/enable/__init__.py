"""Makes a system hibernate and resume by Torpor, and undoes it: `torpor enable`, `disable`.

`target` says where the chosen store is and what lies below it, `units` knows systemd's drop-ins,
`system` writes, removes and runs, with an undo. `enable` puts them in order, `announce` tells the
kernel, at each boot too, where images are, and `remarks` says what is left to the user.

Every path but /sys/power/resume is below a root folder. No file is replaced or removed that this
package did not write: their first line says so.
"""
