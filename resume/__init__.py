"""The resumer: runs in the initramfs, before the root file system is mounted.

`__main__` ties it together: `arguments`, `request` (what this boot asks for), `wait` (until the
device is there), `find` (where an image is). Nearly every boot ends there; `outcome` is why, and
`report` says it. What reads an image is imported once there is one: `images` has it restored or
settled, `candidates` chooses, `check` compares it with this machine, `restore` becomes it.

Frozen and embedded, so it holds little. An image is restored at most once; a boot that goes on
leaves none behind but what another boot may still restore.
"""
