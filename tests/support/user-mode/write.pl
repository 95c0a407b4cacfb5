# Writes files the way a careful application does, one after the other: WHO SECONDS. Prints a line for
# each: `good NAME SHA256 SECONDS`, once all of it is said to be on the disk, or `STEP ERROR SECONDS`.
use strict;
use warnings;
use Digest::SHA 'sha256_hex';
use Fcntl;
use IO::Handle;
use Time::HiRes 'clock_gettime', 'CLOCK_MONOTONIC', 'sleep';

my ($who, $seconds) = @ARGV;
my $folder = '/var/lib/hastack/uploads';
my $now = sub { clock_gettime(CLOCK_MONOTONIC) };
my $end = $now->() + $seconds;
$| = 1;
umask 077;
for (my $count = 1; $now->() < $end; $count++) {
    my $name = "$who-$count";
    my $text = join '', map { chr int rand 256 } 1 .. 5000;
    my $begin = $now->();
    my $step = 'open';
    my $good = eval {
        sysopen my $file, "$folder/.$name.part", O_CREAT | O_EXCL | O_WRONLY, 0600 or die;
        $step = 'write';
        defined $file->syswrite($text) or die;
        $step = 'fsync';
        $file->sync or die;
        $step = 'close';
        close $file or die;
        $step = 'chmod';
        chmod 0640, "$folder/.$name.part" or die;
        $step = 'rename';
        rename "$folder/.$name.part", "$folder/$name" or die;
    };
    my $error = $! + 0;
    my $took = sprintf '%.1f', $now->() - $begin;
    print $good ? "good $name " . sha256_hex($text) . " $took\n" : "$step $error $took\n";
    sleep($good ? 0.05 : 0.5);
}
