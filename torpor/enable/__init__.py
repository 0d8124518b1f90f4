"""Makes a system hibernate and resume by Torpor, and undoes it: `torpor enable`, `disable`.

`enable` puts the steps in order, `system` writes, removes and runs, with an undo, `announce` tells
the kernel, at each boot too, where images are.

Every path but /sys/power/resume is below a root folder. No file is replaced or removed that this
package did not write: their first line says so.
"""
