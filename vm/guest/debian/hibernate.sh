#!/bin/sh
# Hibernates as a user does, and returns once the machine is back: `systemctl hibernate` itself
# only starts it. The end is told by the hook for system-sleep, which so is tested, too.
rm -f /run/agent/sleep
systemctl hibernate || exit
until grep -q '^post hibernate' /run/agent/sleep 2>/dev/null; do
    if systemctl -q is-failed systemd-hibernate.service; then
        systemctl --no-pager -l -n 100 status systemd-hibernate.service
        exit 1
    fi
    sleep 0.5
done
cat /run/agent/sleep
