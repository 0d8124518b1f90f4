#!/bin/sh
# What systemd-sleep runs before and after, as its manual says.
echo "$1 $2" >>/run/agent/sleep
