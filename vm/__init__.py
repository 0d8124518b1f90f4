"""Virtual machines to hibernate and wake up: `python -m vm.demo`, and what the tests build on.

    kernel = find_kernel("6.1")                                        # kernels: or "7.3", a path
    initramfs = build_initramfs(kernel, work / "initramfs.cpio")       # initramfs: with the resumer
    root = root_disk(work / "root.img")                                # disks: ext4 with torpor
    name = swap_disk(work / "swap.img", 512)                           # … its UUID
    machine = Machine(kernel, initramfs, [root, work / "swap.img"],
                      work / "first.log", f"scenario=demo resume=UUID={name}")
    result = machine.run(timeout=90)                                   # machine: until it is off
    result.status, result.told("nonce"), result.report, result.console
    with machine.start(timeout=90) as running:                         # or step by step
        running.wait_report("hibernate"); running.kill()               # power cut
    copy_disks([root, work / "swap.img"], work / "variant")            # boot the same state again
    assert ext4_complaints(root) == ""

A Debian guest (lives, debian) runs what the test asks for; on a laptop it starts by itself:

    guest = LaptopGuest(laptop(installed("laptop", "13", "6.12", None)), folder)
    guest.boot()                                                       # UEFI, GRUB, a passphrase
    guest.run("torpor enable"); guest.hibernate(); guest.resume()
    assert guest.same_life()

A scenario is a script in guest/, run by the guest's init, which reports its exit status. It goes
on where it was in a machine that resumes; boot a second life with scenario=cold to tell the two
apart. Nothing here imports what it tests: the frozen programs are all it knows.
"""
