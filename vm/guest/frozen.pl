#!/usr/bin/perl
# Stops all tasks but itself for some seconds, leaves data on the root that it does not sync, and
# tells whether a task counts meanwhile, and how much the kernel writes to the root's disk.

# include/uapi/linux/suspend_ioctls.h
my ($SNAPSHOT_FREEZE, $SNAPSHOT_UNFREEZE) = (0x3301, 0x3302);
my $SECONDS = 5;

sub read_line {
    open(my $file, '<', $_[0]) or die "$_[0]: $!\n";
    return scalar <$file>;
}

# Sectors written, the seventh field (Documentation/block/stat.rst).
sub written {
    return (split ' ', read_line('/sys/block/vda/stat'))[6];
}

open(my $snapshot, '<', '/dev/snapshot') or die "snapshot: $!\n";
ioctl($snapshot, $SNAPSHOT_FREEZE, 0) or die "FREEZE: $!\n";
open(my $data, '>', '/root/dirty') or die "dirty: $!\n";
print $data 'x' x 1_000_000;
close($data);
my ($count, $sectors) = (read_line('/run/count') + 0, written());
sleep $SECONDS;
my ($later, $more) = (read_line('/run/count') + 0, written());
ioctl($snapshot, $SNAPSHOT_UNFREEZE, 0) or die "UNFREEZE: $!\n";
print 'counted=', $later - $count, ' sectors=', $more - $sectors, "\n";
