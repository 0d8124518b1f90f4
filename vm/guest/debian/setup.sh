#!/bin/sh
# Runs once in the chroot of the common Debian root: names the machine, and leaves out of its boot
# what these tests do not need and an emulated processor would spend half a minute on.
set -e
echo debian >/etc/hostname
echo '/dev/vda / ext4 errors=remount-ro 0 1' >/etc/fstab
mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\n' >/etc/systemd/journald.conf.d/volatile.conf
systemctl mask getty.target getty-static.service systemd-update-utmp.service \
    systemd-update-utmp-runlevel.service systemd-random-seed.service systemd-journal-flush.service \
    systemd-journald-audit.socket systemd-user-sessions.service systemd-ask-password-wall.path \
    systemd-machine-id-commit.service systemd-pstore.service systemd-repart.service \
    systemd-sysusers.service systemd-firstboot.service systemd-binfmt.service \
    proc-sys-fs-binfmt_misc.automount dev-hugepages.mount dev-mqueue.mount \
    sys-fs-fuse-connections.mount sys-kernel-config.mount modprobe@configfs.service \
    modprobe@fuse.service modprobe@drm.service systemd-tmpfiles-clean.timer \
    e2scrub_all.timer e2scrub_reap.service fstrim.timer dpkg-db-backup.timer remote-fs.target \
    lvm2-monitor.service lvm2-lvmpolld.socket dm-event.socket blk-availability.service \
    ldconfig.service systemd-journal-catalog-update.service systemd-update-done.service \
    tmp.mount systemd-creds.socket \
    systemd-hostnamed.socket systemd-sysext.socket systemd-initctl.socket \
    systemd-tpm2-setup-early.service systemd-tpm2-setup.service systemd-pcrphase.service \
    systemd-pcrphase-sysinit.service systemd-pcrmachine.service
