/** valkey.conf of the cache: a Redis-protocol server that may lose everything at any time. */

import { authorityFile, leafFile } from "../certificates/domains.ts";
import { ports } from "../roles.ts";
import type { Settings } from "../settings.ts";
import type { Member } from "../topology.ts";

/** Valkey's user for the application. */
export const cacheUser = "hastack";

/**
 * What an application may do: read and write its data. It cannot list or empty all keys, look at
 * other connections, change settings, or run what stays in the server.
 */
const rights = [
  ...["+@read", "+@write", "+@connection", "+@transaction", "+@scripting"],
  ...["-@admin", "-@dangerous", "-scan", "-randomkey", "-function", "-script|flush"],
].join(" ");

/**
 * @param passwords keys of the secrets that are taken @default the one that is in use
 * @returns text with the places of secrets, `@{cache_password}`
 */
export function renderCache(
  { cache }: Pick<Settings, "cache">,
  self: Member,
  passwords: readonly string[] = [],
): string {
  const taken = (passwords.length > 0 ? passwords : ["cache_password"])
    .map((key) => `>@{${key}}`)
    .join(" ");
  return `bind ${self.backend}
port 0
tls-port ${ports.cache}
tls-protocols TLSv1.3
tls-cert-file ${leafFile("cache-server")}
tls-key-file ${leafFile("cache-server")}
tls-ca-cert-file ${authorityFile("cache")}
tls-auth-clients yes
protected-mode yes
maxclients 1000
tcp-keepalive 10
# When memory is full, the keys that expire next are dropped; nothing is written to disk
maxmemory ${cache.megabytes}mb
maxmemory-policy volatile-ttl
save ""
appendonly no
# Limits for a client that does not read its answers, and for a script that does not end
client-output-buffer-limit normal 8mb 4mb 10
busy-reply-threshold 100
user default off resetpass resetkeys resetchannels -@all
user ${cacheUser} on ${taken} ~* resetchannels -@all ${rights}
`;
}

const cli = `REDISCLI_AUTH=$(cat password) valkey-cli --no-auth-warning --user ${cacheUser}`;

/** Health, run in the folder of the workload's files; the password is on no command line. */
export function cacheHealth(self: Member): string {
  const client = leafFile("cache-client");
  const tls = `--tls --cacert ${authorityFile("cache")} --cert ${client} --key ${client}`;
  return `${cli} ${tls} -h ${self.backend} -p ${ports.cache} -t 2 ping 2>&1 | grep -Fx PONG`;
}

const certificate = `"$PWD/${leafFile("cache-server")}"`;
/** Certificates are read where replication wants them, too, and it needs no port. */
const withoutPort = `--tls-port 0 --tls-replication yes --tls-cert-file ${certificate} --tls-key-file ${certificate} --tls-ca-cert-file "$PWD/${authorityFile("cache")}"`;

/**
 * Valkey cannot check a configuration: an instance that no client reaches is started with the new
 * files, and must accept the new password.
 */
export const cacheCheck = `d=$(mktemp -d)
chown valkey: "$d"
setpriv --reuid=valkey --regid=valkey --clear-groups valkey-server "$PWD/valkey.conf" ${withoutPort} --dir "$d" --unixsocket "$d/socket" > "$d/log" 2>&1 &
pid=$!
tries=0
until answer=$(${cli} -s "$d/socket" ping 2>&1) && [ "$answer" = PONG ]; do
  tries=$((tries + 1))
  if [ "$tries" -ge 100 ] || ! kill -0 "$pid" 2> /dev/null; then
    cat "$d/log"
    echo "it answers: $answer"
    kill "$pid" 2> /dev/null
    rm -rf "$d"
    exit 1
  fi
  sleep 0.05
done
kill "$pid"
wait "$pid"
rm -rf "$d"`;
