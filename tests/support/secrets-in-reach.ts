/**
 * What somebody who has got into a program can read of secrets: all files of the machine, or of the
 * container, and what its programs tell of themselves.
 */

import { commandLine } from "../../infra/platform/shell.ts";

/** Runs a shell text as root in the machine or the container. @returns what it printed */
export type RunAsRoot = (script: string, input: string) => Promise<string>;

/** Debian's own, which is the same everywhere, and the kernel's. */
const sameEverywhere = ["bin", "boot", "dev/pts", "lib", "lib64", "sbin", "sys", "usr"];

/**
 * It reads from `/proc` what belongs to a process, and beside files what others are told: units and the
 * journal. It does not look at itself, nor follow links.
 */
const program = `
use strict;
my %secrets;
while (<STDIN>) { $secrets{pack "H*", $2} = $1 if /^(\\S+) (\\S+)$/ }
my %found;
sub look {
  my ($where, $handle) = @_;
  my ($kept, $part) = ("", "");
  while (sysread $handle, $part, 1 << 20) {
    my $text = $kept . $part;
    for (keys %secrets) { $found{"$secrets{$_} in $where"} = 1 if index($text, $_) >= 0 }
    $kept = length $text > 4096 ? substr $text, -4096 : $text;
  }
}
my %seen;
sub walk {
  my ($path) = @_;
  my ($device, $inode) = lstat $path or return;
  return if -l _ || $seen{"$device:$inode"}++;
  if (-d _) {
    opendir my $folder, $path or return;
    my @names = grep { !/^\\.\\.?$/ } readdir $folder;
    walk(($path eq "/" ? "" : $path) . "/$_") for @names;
  } elsif (-f _ && open my $file, "<", $path) { look($path, $file) }
}
$seen{join ":", (lstat "/$_")[0, 1]} = 1 for "proc", @ARGV;
walk("/");
for my $process (grep { $_ ne "/proc/$$" } glob "/proc/[0-9]*") {
  for my $path (map { glob "$process/$_" } qw(environ cmdline fd/* root/run/credentials/*/* root/etc/hastack/*)) {
    if (-f $path && open my $file, "<", $path) { look($path, $file) }
  }
}
for my $command ("systemctl show --all '*' '*.service'", "journalctl --no-pager --output=export") {
  if (open my $output, "-|", "$command 2> /dev/null") { look($command, $output) }
}
print map { "$_\\n" } sort keys %found;
`;

/**
 * @param user of the program
 * @param secrets by the names that they are told by
 * @returns for each place where one is read: the secret's name, and where
 */
export async function secretsInReach(
  run: RunAsRoot,
  user: string,
  secrets: Readonly<Record<string, string>>,
): Promise<string[]> {
  const hex = (text: string) => Buffer.from(text).toString("hex");
  const lines = Object.entries(secrets).flatMap(([name, value]) => {
    // As they are, in an address, in a request to a machine, and as a header carries them
    const forms = [value, encodeURIComponent(value), hex(value), btoa(value).replace(/=+$/, "")];
    return [...new Set(forms)].map((form) => `${name} ${hex(form)}\n`);
  });
  const words = ["runuser", "-u", user, "--", "perl", "-e", program, ...sameEverywhere];
  const found = await run(`exec ${commandLine(words)}`, lines.join(""));
  return found.split("\n").filter(Boolean);
}
