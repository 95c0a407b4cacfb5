#!/usr/bin/perl
# Asks a network who has a virtual address, and fails where more than one machine answers for it.
# Arguments: this machine's address in the network, the virtual address, and NAME=ADDRESS of each machine
# that may hold it, this one too. A machine is known by the hardware address that answers for its own.
use strict;
use warnings;
use Socket;
use Time::HiRes qw(time);
use constant { AF_PACKET => 17, ARP => 0x0806, REQUEST => 1, REPLY => 2 };
# Asked again after a third of it: a question may get lost
use constant SECONDS => 0.6;

my ($own, $virtual, @may) = @ARGV;
my %name_of = map { my ($name, $address) = split /=/; $address => $name } @may;

my ($interface, $holds);
for (`ip -oneline -4 address show`) {
  my (undef, $name, undef, $address) = split;
  $address =~ s{/.*}{};
  $interface = $name if $address eq $own;
  $holds = 1 if $address eq $virtual;
}
defined $interface or die "no interface has $own\n";
my %mine = map { m{link/ether (\S+)} ? ($1 => 1) : () } `ip -oneline link show`;

sub told {
  my ($what) = @_;
  open(my $file, '<', "/sys/class/net/$interface/$what") or die "$interface: $!\n";
  chomp(my $line = <$file>);
  return $line;
}
my $hardware = pack 'H12', told('address') =~ s/://gr;
socket(my $socket, AF_PACKET, SOCK_RAW, 0) or die "socket: $!\n";
bind($socket, pack('SniSCCa8', AF_PACKET, ARP, told('ifindex'), 0, 0, 0, '')) or die "bind: $!\n";

sub ask {
  for my $wanted ($virtual, grep { $_ ne $own } keys %name_of) {
    my $question = pack('nnCCn', 1, 0x0800, 6, 4, REQUEST) . $hardware . inet_aton($own);
    send($socket, "\xff" x 6 . $hardware . pack('n', ARP) . $question . "\0" x 6 . inet_aton($wanted), 0)
      or die "send: $!\n";
  }
}

# Hardware addresses by the address that they answer for
my %answers;
my @asks = (0, SECONDS / 3);
my $start = time;
while (time < $start + SECONDS) {
  if (@asks && time >= $start + $asks[0]) {
    shift @asks;
    ask();
  }
  vec(my $ready = '', fileno $socket, 1) = 1;
  select($ready, undef, undef, 0.05) > 0 or next;
  defined sysread($socket, my $frame, 2048) or next;
  length $frame >= 42 && unpack('n', substr $frame, 20, 2) == REPLY or next;
  my $from = join ':', unpack '(H2)6', substr $frame, 22, 6;
  $answers{ inet_ntoa(substr $frame, 28, 4) }{$from} = 1 unless $mine{$from};
}

my %machine = map { my $address = $_; map { $_ => $name_of{$address} } keys %{ $answers{$address} } }
  grep { exists $name_of{$_} } keys %answers;
my %holders = map { ($machine{$_} // "a machine that is none of the load balancers ($_)") => 1 }
  keys %{ $answers{$virtual} };
$holders{ $name_of{$own} } = 1 if $holds;
exit 0 if keys %holders < 2;
print STDERR join(' and ', sort keys %holders), " hold $virtual at once: only one may. ",
  "See docs/operate.md, \"Two holders\"\n";
exit 1;
