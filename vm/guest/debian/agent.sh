#!/bin/sh
# The host's hand in the guest: reads lines "TOKEN COMMAND" from ttyS1, runs each in a shell and
# answers with what it printed and a last line "TOKEN EXIT-STATUS". It lives on through a resume,
# and with it a process that holds a random number in its memory: that no disk ever held it as a
# file, and that nobody else can know it, tells one life of the machine from another.

keep_secret() {
    nonce=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    counter=0
    trap 'echo "nonce=$nonce counter=$counter" >/run/agent/answer' USR1
    : >/run/agent/keeps
    while :; do
        counter=$((counter + 1))
        sleep 0.5
    done
}

mkdir -p /run/agent
mkfifo /run/agent/answer
head -c 8M /dev/urandom >/run/agent/data
keep_secret &
echo "$!" >/run/agent/keeper
# Asked before it has set its trap, it would end, and whoever asked would wait for ever.
until [ -e /run/agent/keeps ]; do
    sleep 0.1
done

stty -F /dev/ttyS1 raw -echo
exec </dev/ttyS1 >/dev/ttyS1
echo "agent ready"
while read -r token command; do
    sh -c "$command" </dev/null >/run/agent/output 2>&1
    status=$?
    cat /run/agent/output
    printf '\n%s %s\n' "$token" "$status"
done
