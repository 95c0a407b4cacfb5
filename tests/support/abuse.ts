/**
 * Clients that take more than their share: a program in a container on the frontend network, with as
 * many addresses as it is to come from. Bounded in number and time; it ends by itself.
 */
import { mustRun, run } from "../../lib/run.ts";
import type { TestStack } from "./test-stack.ts";

/** What the clients do. */
export type Abuse =
  /** Send a body byte by byte, from its first on. */
  | "drip"
  /** Send 20 KB of a body, then go on byte by byte. */
  | "late drip"
  /** Open a connection and say nothing. */
  | "idle"
  /** Ask for pages, one after the other, as fast as they get them. */
  | "flood"
  /** Try passwords as fast as they are told that they are wrong. */
  | "logins"
  /** Sends a body of `bytes` at 12.5 KB a second, steadily: an honest client on a slow line. */
  | "steady";

export interface AbuseOptions {
  readonly clients: number;
  readonly seconds: number;
  /** How many addresses they come from. */
  readonly addresses: number;
  /** The first of these. @default the first one there is */
  readonly from?: number;
  /** What is asked for by those that send a body. @default the login */
  readonly path?: string;
  /** Further header lines. @default none */
  readonly headers?: Readonly<Record<string, string>>;
  /** Of a body. @default 8000 */
  readonly bytes?: number;
}

/** Answers by their status; `closed` without one, `refused` where there was no connection. */
export type Counts = Readonly<Record<string, number>>;

const program = String.raw`
use strict; use IO::Socket::INET; use IO::Select; use Time::HiRes qw(time sleep);
$SIG{PIPE} = "IGNORE"; # who is closed on meanwhile goes on with the next
my ($host, $kind, $clients, $seconds, $path, $bytes, $file, $own) = @ARGV;
my @own = split /,/, $own; my $end = time + $seconds;
sub content { open my $file, "<:raw", $_[0] or die "$_[0]: $!"; local $/; <$file> // "" }
my $headers = content("$file.headers");
my ($select, %at, %count) = (IO::Select->new);
my $post = "POST $path HTTP/1.1\r\nHost: $host\r\n$headers" . "Content-Length: $bytes\r\n\r\n";
my $first = $kind eq "late drip" ? $post . ("x" x 20000) : $kind eq "idle" ? ""
  : $kind eq "flood" ? "GET / HTTP/1.1\r\nHost: $host\r\n\r\n"
  : $kind eq "logins" ? $post . content("$file.body") : $post;
sub start { my ($n) = @_;
  my $to = IO::Socket::INET->new(PeerAddr => $host, PeerPort => 80, LocalAddr => $own[$n % @own], Timeout => 2);
  unless ($to) { $count{refused}++; return }
  $to->blocking(0); $select->add($to);
  $at{$to} = {n => $n, to => $to, left => $bytes, next => time + 0.5 + rand, answer => ""};
  syswrite $to, $first; }
sub stop { my ($to) = @_; my $n = $at{$to}{n}; delete $at{$to}; $select->remove($to); close $to; $n }
if ($kind eq "steady") {
  my $to = IO::Socket::INET->new(PeerAddr => $host, PeerPort => 80, LocalAddr => $own[0], Timeout => 5) or die $!;
  my ($body, $begun, $sent) = (content("$file.body"), time, 0); syswrite $to, $post;
  while ($sent < $bytes && time < $end) {
    last if IO::Select->new($to)->can_read(0);
    my $n = syswrite $to, $body, 1250, $sent or last; $sent += $n; sleep 0.1;
  }
  my $line = IO::Select->new($to)->can_read(60) ? <$to> : "";
  printf "{\"%s\":1,\"seconds\":%.1f}", ($line =~ /^HTTP\S+ (\d+)/ ? $1 : "closed"), time - $begun; exit;
}
for my $n (0 .. $clients - 1) { start($n); sleep 0.002 }
my @again;
while (time < $end) {
  for my $to ($select->can_read(0.05)) {
    my $it = $at{$to} or next; my $got = sysread $to, my $text, 65536;
    if ($got) {
      $it->{answer} .= substr $text, 0, 20 if length $it->{answer} < 20;
      if ($it->{answer} =~ /^HTTP\S+ (\d+)/) { $count{$1}++; $it->{answer} = "done" . (" " x 20); }
      # The next one once this one's page is there: it ends so
      if ($kind =~ /flood|logins/ && $text =~ /(<\/html>\s*|\})$/) { $it->{answer} = ""; syswrite $to, $first }
      next;
    }
    next if !defined $got && $!{EAGAIN};
    $count{closed}++ unless $it->{answer} =~ /^done/;
    push @again, [time + 0.5, stop($to)];
  }
  my $now = time;
  if ($kind =~ /drip/) { for my $it (values %at) { if ($now > $it->{next}) { $it->{next} = $now + 1; syswrite $it->{to}, "x" } } }
  while (@again && $again[0][0] < $now) { start((shift @again)->[1]) }
}
$count{open} = scalar keys %at;
print "{" . join(",", map { "\"$_\":$count{$_}" } sort keys %count) . "}";
`;

const unpack = `local $/; open my $to, ">:raw", $ARGV[0] or die $!; print $to pack "H*", <STDIN>`;

/** Addresses of the passing containers: Docker gives them those above, and asks for none of these. */
const firstAddress = 180;

export class Abusers {
  readonly #stack: TestStack;
  readonly #name: string;

  private constructor(stack: TestStack, name: string) {
    this.#stack = stack;
    this.#name = name;
  }

  /** @param count of addresses, 60 at most */
  static async start(stack: TestStack, count: number): Promise<Abusers> {
    const name = `${stack.name}-test-abusers`;
    const balancer = stack.place.container("lb-1");
    const image = await mustRun(["docker", "inspect", "--format", "{{.Image}}", balancer]);
    await run(["docker", "rm", "--force", name]);
    const network = `--network=hastack-${stack.name}-frontend`;
    const rights = ["--cap-add=NET_ADMIN", "--init", "--label=hastack.test=e2e"];
    await mustRun([
      ...["docker", "run", "--detach", `--name=${name}`, network, ...rights],
      ...[image.trim(), "sleep", "infinity"],
    ]);
    const abusers = new Abusers(stack, name);
    const add = abusers.#addresses(count).map((one) => `ip address add ${one}/24 dev eth0`);
    await mustRun(["docker", "exec", name, "sh", "-euc", add.join("\n")]);
    return abusers;
  }

  #addresses(count: number, from = 0): string[] {
    const network = this.#stack.place.vip.replace(/\d+$/, "");
    return Array.from({ length: count }, (_, index) => `${network}${firstAddress + from + index}`);
  }

  /**
   * Runs clients of one kind to their end.
   * @param body that the steady one sends, and those who try passwords
   * @returns the answers that they got
   */
  async run(kind: Abuse, options: AbuseOptions, body?: Buffer): Promise<Counts> {
    const { clients, seconds, addresses, from = 0, path = "/login", headers = {} } = options;
    const bytes = body?.length ?? options.bytes ?? 8000;
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const inside = ["docker", "exec", "--interactive", this.#name];
    const file = `/tmp/${kind.replace(" ", "-")}`;
    await mustRun([...inside, "sh", "-euc", `cat > ${file}.headers`], { input: lines.join("") });
    if (body) {
      // Text, so that no step on the way takes it for anything else
      const hex = { input: body.toString("hex") };
      await mustRun([...inside, "perl", "-e", unpack, `${file}.body`], hex);
    }
    const words = [this.#stack.place.vip, kind, clients, seconds, path, bytes, file];
    const output = await mustRun(
      [
        ...inside,
        "perl",
        "-e",
        program,
        ...words.map(String),
        this.#addresses(addresses, from).join(","),
      ],
      { limitSeconds: seconds + 90 },
    );
    return JSON.parse(output);
  }

  async remove(): Promise<void> {
    await run(["docker", "rm", "--force", this.#name]);
  }
}
