# Copies the TCP frames of a bridge to standard output, each behind its length (4 bytes, big-endian),
# until standard input ends or the time is up. Arguments: interface, longest time in seconds.
use strict;
use warnings;
use constant { AF_PACKET => 17, SOCK_RAW => 3, SOL_PACKET => 263, ADD_MEMBERSHIP => 1 };

my ($interface, $seconds) = @ARGV;
open(my $file, '<', "/sys/class/net/$interface/ifindex") or die "$interface: $!\n";
my $index = int(<$file>);
# Of no protocol, until it is bound: else frames of all interfaces would come
socket(my $socket, AF_PACKET, SOCK_RAW, 0) or die "socket: $!\n";
bind($socket, pack('SniSCCa8', AF_PACKET, 3, $index, 0, 0, 0, '')) or die "bind: $!\n";
# Without it only frames for this machine itself would come; it ends with the socket
setsockopt($socket, SOL_PACKET, ADD_MEMBERSHIP, pack('iSSa8', $index, 1, 0, '')) or die "promiscuous: $!\n";
# Room for a burst
setsockopt($socket, 1, 8, pack('i', 8 * 1024 * 1024));

binmode(STDOUT);
$| = 1;
print STDERR "ready\n";
my $end = time + $seconds;
while (time < $end) {
  my $ready = '';
  vec($ready, fileno($socket), 1) = 1;
  vec($ready, fileno(STDIN), 1) = 1;
  select($ready, undef, undef, 0.5) > 0 or next;
  last if vec($ready, fileno(STDIN), 1);
  next unless defined sysread($socket, my $frame, 65536);
  next unless length($frame) > 54 && substr($frame, 12, 2) eq "\x08\x00" && ord(substr($frame, 23, 1)) == 6;
  print pack('N', length $frame), $frame;
}
