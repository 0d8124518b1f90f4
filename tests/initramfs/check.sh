#!/bin/sh
# check.sh TREE: say what the resumer lacks, or has too much, in an initramfs unpacked at TREE, and
# start the resumer in it. To be run where Torpor is installed.
tree=$1
lib=/usr/lib/torpor sealing=/var/lib/torpor/sealing server=/var/lib/torpor/server
loader=/lib64/ld-linux-x86-64.so.2
failed=0

complain() {
    echo "$*"
    failed=1
}

for file in $(cat "$lib/resume.needs" && "$lib/sealing-needs" && "$lib/server-needs"); do
    if [ ! -e "$tree$file" ]; then
        complain "$file is missing"
    elif [ "$(head -c 4 "$file" | od -An -tx1)" = " 7f 45 4c 46" ]; then
        listed=$(chroot "$tree" "$loader" --list "$file" 2>&1) ||
            [ "$file" = "$loader" ] || complain "$file: $listed"
    elif ! cmp -s "$file" "$tree$file"; then
        complain "$file is not the same"
    fi
done
for file in $sealing $(cat "$lib/resume-sealing.needs"); do
    [ -e $sealing ] || [ ! -e "$tree$file" ] || complain "$file is there, and nothing is sealed"
done
for file in $server $lib/server-network $(cat "$lib/resume-server.needs"); do
    [ -e $server ] || [ ! -e "$tree$file" ] || complain "$file is there, and there is no server"
done
if ! grep -qsx tpm2=yes $sealing; then
    [ ! -e "$tree/usr/bin/tpm2" ] || complain "tpm2 is there, and no TPM is asked"
elif ! chroot "$tree" tpm2 getrandom -T device:/none 4 2>&1 | grep -q 'open specified TCTI device'; then
    complain "tpm2 does not get as far as to open its device"
fi
[ ! -e /var/lib/torpor/location ] ||
    cmp /var/lib/torpor/location "$tree/var/lib/torpor/location" || failed=1
[ ! -e /etc/machine-id ] || cmp /etc/machine-id "$tree/var/lib/torpor/machine-id" || failed=1
[ -e "$tree/bin/sh" ] || [ -e "$tree/usr/bin/sh" ] || complain "sh is missing"
chroot "$tree" "$lib/resume/torpor-resume" --help >/dev/null || complain "the resumer does not start"
exit "$failed"
