# Watches an NFS server for the unit that has mounted a directory from it: SERVER PATH. It ends when the
# server has not answered for 10 s, or when nothing is mounted any more; the unit then takes the mount
# away, so that programs get errors in place of hanging, and mounts again as soon as it can.
# The kernel alone would let whoever opens a file wait until the server is back, or for minutes.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use Socket qw(inet_aton inet_ntoa);

my ($server, $path) = @ARGV;
# Once, as the kernel does for a mount: while no name is known the server may be as well as ever.
my $address = inet_ntoa(inet_aton($server) // die "$server is not known\n");

# By the machine's own count of seconds: its clock may be set.
sub seconds {
    open my $file, '<', '/proc/uptime' or die "/proc/uptime: $!\n";
    return (split / /, <$file>)[0];
}

sub is_mounted {
    open my $file, '<', '/proc/self/mounts' or die "/proc/self/mounts: $!\n";
    return scalar grep { (split / /)[1] eq $path } <$file>;
}

# Asks for nothing (procedure 0 of NFS 4), which every server answers that has a thread left.
my $call = pack 'N11', 0x80000028, 1, 0, 2, 100003, 4, 0, 0, 0, 0, 0;

sub answers {
    my $socket = IO::Socket::INET->new(PeerAddr => $address, PeerPort => 2049, Timeout => 2) or return;
    return unless defined $socket->syswrite($call) && IO::Select->new($socket)->can_read(2);
    return $socket->sysread(my $answer, 28);
}

$SIG{PIPE} = 'IGNORE';
my $last = seconds();
while (is_mounted()) {
    $last = seconds() if answers();
    die "$server has not answered for 10 s\n" if seconds() - $last >= 10;
    sleep 1;
}
die "$path is not mounted any more\n";
