/** Somebody on a machine who is at its packages. */
import type { StandIn } from "./machines.ts";

/** What apt and dpkg lock: all that is installed, dpkg's own files, apt's lists of packages. */
export const locks = [
  "/var/lib/dpkg/lock-frontend",
  "/var/lib/dpkg/lock",
  "/var/lib/apt/lists/lock",
] as const;

export class Somebody {
  readonly #machine: StandIn;

  constructor(machine: StandIn) {
    this.#machine = machine;
  }

  /** Holds locks for some seconds, as apt and dpkg do; it has them once this is over. */
  async hold(paths: readonly string[], seconds: number): Promise<void> {
    await this.#machine.look(`cat > /tmp/somebody << 'END'
#!/usr/bin/perl
my $seconds = shift;
my @files;
for (@ARGV) {
  open my $file, "+>>", $_ or die $!;
  my $lock = pack("s s x4 q q l x4", 1, 0, 0, 0, 0);
  fcntl($file, 6, $lock) or die $!;
  push @files, $file;
}
open my $held, ">", "/tmp/held";
sleep $seconds;
END
rm -f /tmp/held; chmod +x /tmp/somebody
setsid /tmp/somebody ${seconds} ${paths.join(" ")} > /dev/null 2>&1 < /dev/null &
timeout 10 sh -c 'until [ -e /tmp/held ]; do sleep 0.1; done'`);
  }

  /** Ends whoever still holds some. */
  async end(): Promise<void> {
    await this.#machine.look("pkill -x somebody || :");
  }
}
