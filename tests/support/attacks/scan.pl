# Connects to many places at once: lines `ADDRESS PORT` on standard input, and as many out, with what
# came of each: `open`, `refused`, or `nothing` within the seconds that are the only word.
use strict;
use warnings;
use Errno qw(EINPROGRESS ECONNREFUSED);
use Fcntl qw(F_SETFL O_NONBLOCK);
use Socket;

my $seconds = shift;
my (%waiting, @places);
while (my $line = <STDIN>) {
  chomp $line;
  my ($address, $port) = split / /, $line;
  socket(my $socket, PF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
  fcntl($socket, F_SETFL, O_NONBLOCK);
  my $place = { text => $line, socket => $socket, said => 'nothing' };
  push @places, $place;
  if (connect($socket, sockaddr_in($port, inet_aton($address)))) { $place->{said} = 'open' }
  elsif ($! == EINPROGRESS) { $waiting{fileno $socket} = $place }
  elsif ($! == ECONNREFUSED) { $place->{said} = 'refused' }
}
# In whole seconds: the Perl of a bare Debian knows no others
my $end = time + $seconds;
while (%waiting and (my $left = $end - time) > 0) {
  my $asked = '';
  vec($asked, $_, 1) = 1 for keys %waiting;
  select(undef, my $ready = $asked, undef, $left) or last;
  for my $number (grep { vec($ready, $_, 1) } keys %waiting) {
    my $place = delete $waiting{$number};
    my $error = unpack 'i', getsockopt($place->{socket}, SOL_SOCKET, SO_ERROR);
    $place->{said} = $error == 0 ? 'open' : $error == ECONNREFUSED ? 'refused' : 'nothing';
  }
}
print "$_->{text} $_->{said}\n" for @places;
