# Asks a web server again and again, with a connection each, until standard input ends or the time is up,
# and prints the longest time in seconds without an answer. Arguments: address, port, longest time.
use strict;
use warnings;
use IO::Socket::INET;
use Time::HiRes qw(sleep time);

my ($address, $port, $seconds) = @ARGV;
my ($start, $worst) = (time, 0);
my $last = $start;
while (time < $start + $seconds) {
  vec(my $ended = '', fileno STDIN, 1) = 1;
  last if select($ended, undef, undef, 0) > 0;
  my $socket = IO::Socket::INET->new(PeerAddr => $address, PeerPort => $port, Timeout => 0.15);
  my $answer = '';
  if ($socket) {
    print $socket "GET / HTTP/1.0\r\n\r\n";
    vec(my $ready = '', fileno $socket, 1) = 1;
    sysread($socket, $answer, 1000) if select($ready, undef, undef, 0.15) > 0;
  }
  if (defined $answer && $answer =~ m{^HTTP/}) {
    my $now = time;
    $worst = $now - $last if $now - $last > $worst;
    $last = $now;
  }
  sleep 0.02;
}
$worst = time - $last if time - $last > $worst;
printf "%.2f\n", $worst;
