#!/usr/bin/perl
# Carries connections, and files, between this machine and whoever has started it, by its standard input and output.
# Every Debian has Perl; an application's machine need have nothing else.
#
# A frame is a number (32 bit), a letter, the length of what follows (32 bit), and that.
#   to here:   O HOST PORT  opens a connection under the number;  D  is for it;  C  closes it
#              P PATH\0TEXT puts a file under its name at once;  G PATH  gets one
#   from here: O  it is open;  D  came from it;  C WHY  it is closed;  A  done, with the file's text;  E WHY  it failed
use strict;
use warnings;
use Errno qw(EINPROGRESS EAGAIN EWOULDBLOCK EINTR ENOENT);
use Fcntl qw(F_GETFL F_SETFL O_NONBLOCK O_RDONLY O_WRONLY O_CREAT O_EXCL O_NOFOLLOW);
use IO::Handle;
use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY TCP_KEEPIDLE TCP_KEEPINTVL TCP_KEEPCNT);

my $most = 1 << 20;
my ($in, $out) = ('', '');
my (%socket, %waiting, %open);

sub frame {
    my ($number, $kind, $text) = @_;
    $out .= pack('NaN', $number, $kind, length $text) . $text;
}

sub unblock {
    my ($handle) = @_;
    fcntl($handle, F_SETFL, fcntl($handle, F_GETFL, 0) | O_NONBLOCK);
}

sub shut {
    my ($number, $why) = @_;
    close delete $socket{$number} if $socket{$number};
    delete $waiting{$number};
    delete $open{$number};
    frame($number, 'C', $why);
}

sub start {
    my ($number, $host, $port) = @_;
    socket(my $one, PF_INET, SOCK_STREAM, IPPROTO_TCP) or return frame($number, 'C', "$!");
    unblock($one);
    setsockopt($one, IPPROTO_TCP, TCP_NODELAY, 1);
    # Whoever waits for the answer of a machine that is lost hears of it from the one that has its address now
    setsockopt($one, SOL_SOCKET, SO_KEEPALIVE, 1);
    setsockopt($one, IPPROTO_TCP, $_->[0], $_->[1]) for [TCP_KEEPIDLE, 1], [TCP_KEEPINTVL, 1], [TCP_KEEPCNT, 3];
    my $there = connect($one, pack_sockaddr_in($port, inet_aton($host)));
    return frame($number, 'C', "$!") unless $there || $! == EINPROGRESS;
    $socket{$number} = $one;
    $waiting{$number} = '';
}

# The file is there whole or not at all, and on its disk
sub put {
    my ($path, $text) = @_;
    my ($folder) = $path =~ m{^(.*)/};
    -d $folder or mkdir $folder or $!{EEXIST} or return "$folder: $!";
    sysopen(my $file, "$path.part", O_WRONLY | O_CREAT | O_EXCL, 0644) or return "$path: $!";
    my $written = syswrite($file, $text);
    defined $written && $written == length $text && $file->sync && close $file or return "$path: $!";
    rename "$path.part", $path or return "$path: $!";
    return;
}

sub answer {
    my ($number, $why, $text) = @_;
    defined $why ? frame($number, 'E', $why) : frame($number, 'A', $text // '');
}

sub get {
    my ($number, $path) = @_;
    sysopen(my $file, $path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        or return answer($number, $! == ENOENT ? 'it is not there' : "$path: $!");
    # The application may put there what it likes
    -f $file or return answer($number, "$path: it is no file");
    my ($text, $got) = ('');
    do { $got = sysread $file, $text, 65_536, length $text } while $got && length $text < $most / 2;
    defined $got ? answer($number, undef, $text) : answer($number, "$path: $!");
}

sub obey {
    my ($number, $kind, $text) = @_;
    return start($number, split ' ', $text) if $kind eq 'O';
    return answer($number, put(split /\0/, $text, 2)) if $kind eq 'P';
    return get($number, $text) if $kind eq 'G';
    return unless $socket{$number};
    return shut($number, '') if $kind eq 'C';
    $waiting{$number} .= $text;
}

sub frames {
    while (length $in >= 9) {
        my ($number, $kind, $length) = unpack 'NaN', $in;
        last if length $in < 9 + $length;
        my $text = substr $in, 9, $length;
        substr($in, 0, 9 + $length) = '';
        obey($number, $kind, $text);
    }
}

sub has_come {
    my ($number) = @_;
    my $got = sysread($socket{$number}, my $text, 65_536);
    return frame($number, 'D', $text) if $got;
    return if !defined $got && ($! == EAGAIN || $! == EINTR);
    shut($number, defined $got ? '' : "$!");
}

sub can_go {
    my ($number) = @_;
    unless ($open{$number}) {
        my $error = unpack 'i', getsockopt($socket{$number}, SOL_SOCKET, SO_ERROR);
        if ($error) { $! = $error; return shut($number, "$!") }
        $open{$number} = 1;
        frame($number, 'O', '');
    }
    return if $waiting{$number} eq '';
    my $sent = syswrite($socket{$number}, $waiting{$number});
    return substr($waiting{$number}, 0, $sent) = '' if defined $sent;
    shut($number, "$!") unless $! == EAGAIN || $! == EINTR;
}

$SIG{PIPE} = 'IGNORE';
binmode STDIN;
binmode STDOUT;
unblock(\*STDOUT);
for (;;) {
    my ($reading, $writing) = ('', '');
    vec($reading, fileno STDIN, 1) = 1;
    vec($writing, fileno STDOUT, 1) = 1 if $out ne '';
    for my $number (keys %socket) {
        my $of = fileno $socket{$number};
        # What nobody takes at the other end is not read here either
        vec($reading, $of, 1) = 1 if $open{$number} && length $out < $most;
        vec($writing, $of, 1) = 1 if !$open{$number} || $waiting{$number} ne '';
    }
    next if select($reading, $writing, undef, undef) < 0;
    if (vec($writing, fileno STDOUT, 1)) {
        my $sent = syswrite STDOUT, $out;
        exit 0 unless defined $sent || $! == EAGAIN || $! == EINTR;
        substr($out, 0, $sent) = '' if $sent;
    }
    if (vec($reading, fileno STDIN, 1)) {
        my $got = sysread STDIN, my $text, 65_536;
        exit 0 if defined $got ? !$got : $! != EINTR;
        $in .= $text if $got;
        frames();
    }
    for my $number (keys %socket) {
        my $of = fileno $socket{$number};
        can_go($number) if vec($writing, $of, 1);
        has_come($number) if $socket{$number} && vec($reading, $of, 1);
    }
}
