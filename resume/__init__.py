"""The resumer: runs in the initramfs, before the root file system is mounted.

`start` begins with a `first_look`, which finds out in milliseconds that there is no image; all
else is for the whole program, `__main__`, which is imported then.

`request` reads what the kernel command line asks for, `wait` waits for devices, `find` and
`candidates` find the image, `check` compares it with this machine, `restore` loads it and becomes
it, `errors` names the refusals of its own, `report` says what happened on the console, `__main__`
ties them together.

Frozen and embedded, so it holds little: imports format, guard, kernel, state, store, pyudev and
what they need. An image is restored at most once; a boot that goes on leaves none behind but what
another boot may still restore.
"""
