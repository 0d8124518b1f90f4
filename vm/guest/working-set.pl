#!/usr/bin/perl
# Memory and files to be warm with.
#
# working-set.pl hold NAME MIB KIND: hold so much random memory, private or shared, and answer on /run/NAME.out what /run/NAME.in
#   asks: sum (a checksum), resident (pages in memory, swap cache too), walk (touch each page once)
# working-set.pl resident FOLDER: print how many pages of the files are in the page cache
# working-set.pl read FOLDER: read each page of the files once, all of them in random order
# The guest has no module of perl's.

# arch/x86/entry/syscalls/syscall_64.tbl
my ($READ, $WRITE, $MMAP, $MUNMAP, $MINCORE) = (0, 1, 9, 11, 27);
my ($PROT_READ, $PROT_WRITE, $MAP_SHARED, $MAP_PRIVATE, $MAP_ANONYMOUS) = (1, 2, 1, 2, 0x20);
my ($PAGE, $MIB) = (4096, 1 << 20);

sub map_memory {
    my ($size, $protection, $flags, $fd) = @_;
    my $address = syscall($MMAP, 0, $size, $protection, $flags, $fd, 0);
    die "mmap: $!\n" if $address == -1;
    return $address;
}

sub pages_in_memory {
    my ($address, $size) = @_;
    my $flags = "\0" x int(($size + $PAGE - 1) / $PAGE);
    syscall($MINCORE, $address, $size, $flags) == 0 or die "mincore: $!\n";
    return $flags =~ tr/\x01\x03\x05\x07//;
}

sub shuffled {
    my @list = @_;
    srand(1);
    for my $last (reverse 1 .. $#list) {
        my $other = int rand($last + 1);
        @list[$last, $other] = @list[$other, $last];
    }
    return @list;
}

sub in_folder {
    my ($folder) = @_;
    opendir(my $open, $folder) or return ();
    return map { "$folder/$_" } sort grep { !/^\./ } readdir($open);
}

sub files_in {
    my ($folder) = @_;
    return map { in_folder($_) } in_folder($folder);
}

sub hold {
    my ($name, $size) = ($_[0], $_[1] * $MIB);
    my $kind = $_[2] eq 'shared' ? $MAP_SHARED : $MAP_PRIVATE;
    my $address = map_memory($size, $PROT_READ | $PROT_WRITE, $kind | $MAP_ANONYMOUS, -1);
    open(my $random, '<', '/dev/urandom') or die "urandom: $!\n";
    for (my $at = 0; $at < $size;) {
        my $got = syscall($READ, fileno($random), $address + $at, $size - $at);
        die "read: $!\n" if $got <= 0;
        $at += $got;
    }
    my @order = shuffled(0 .. $size / $PAGE - 1);
    my %answers = (
        sum => sub {
            open(my $md5, '|-', "md5sum >/run/$name.sum") or die "md5sum: $!\n";
            for (my $at = 0; $at < $size;) {
                my $done = syscall($WRITE, fileno($md5), $address + $at, $size - $at);
                die "write: $!\n" if $done <= 0;
                $at += $done;
            }
            close $md5 or die "md5sum: $?\n";
            open(my $sum, '<', "/run/$name.sum") or die "$name.sum: $!\n";
            return substr(<$sum>, 0, 32);
        },
        resident => sub { return pages_in_memory($address, $size) },
        walk => sub {
            my $sum = 0;
            $sum += unpack('C', unpack('P1', pack('Q', $address + $_ * $PAGE))) for @order;
            return $sum;
        },
    );
    while (1) {
        open(my $in, '<', "/run/$name.in") or die "$name.in: $!\n";
        my $question = <$in>;
        close $in;
        chomp $question;
        my $answer = $answers{$question}->();
        open(my $out, '>', "/run/$name.out") or die "$name.out: $!\n";
        print $out "$answer\n";
        close $out;
    }
}

sub resident {
    my $pages = 0;
    for my $path (files_in(@_)) {
        open(my $file, '<', $path) or die "$path: $!\n";
        my $size = -s $file;
        my $address = map_memory($size, $PROT_READ, $MAP_SHARED, fileno($file));
        $pages += pages_in_memory($address, $size);
        syscall($MUNMAP, $address, $size);
    }
    print "$pages\n";
}

sub read_files {
    my @files = map { open(my $file, '<:raw', $_) or die "$_: $!\n"; $file } files_in(@_);
    my @places;
    for my $number (0 .. $#files) {
        push @places, map { [$number, $_] } 0 .. int(((-s $files[$number]) - 1) / $PAGE);
    }
    for my $place (shuffled(@places)) {
        sysseek($files[$place->[0]], $place->[1] * $PAGE, 0);
        sysread($files[$place->[0]], my $data, $PAGE) or die "read: $!\n";
    }
}

my ($what, @arguments) = @ARGV;
my %actions = (hold => \&hold, resident => \&resident, read => \&read_files);
$actions{$what}->(@arguments);
