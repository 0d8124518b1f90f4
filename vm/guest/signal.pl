#!/usr/bin/perl
# signal.pl PID NUMBER: has the kernel send a signal when a line is typed at the console, also
# while all tasks are frozen, this one too: the signal for input (F_SETSIG in fcntl(2)) may be any.

# include/uapi/asm-generic/fcntl.h
my ($F_SETFL, $F_SETOWN, $F_SETSIG, $O_ASYNC) = (4, 8, 10, 020000);
my ($pid, $number) = @ARGV;

open(my $console, '<', '/dev/ttyS0') or die "ttyS0: $!\n";
fcntl($console, $F_SETOWN, $pid + 0) or die "F_SETOWN: $!\n";
fcntl($console, $F_SETSIG, $number + 0) or die "F_SETSIG: $!\n";
fcntl($console, $F_SETFL, $O_ASYNC) or die "F_SETFL: $!\n";
sleep;
