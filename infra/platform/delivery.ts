/**
 * The shell text that delivers a set of files to a machine: every file is written under a temporary
 * name, every check is run, and only then are the files that differ moved into place. Secrets come
 * by standard input, one line `name hexadecimal` each. For each process that has to take notice there
 * is a file `.notices/reload:NAME` or `.notices/restart:NAME` until `dropNotice` removes it, so that a
 * delivery that is cut off between the two is completed by the next one.
 */
import type { ManagedFile, Task } from "./platform.ts";
import { hereDocument, quote } from "./shell.ts";

/** The text on standard input that carries the secrets. */
export function secretsInput(secrets: Readonly<Record<string, string>>): string {
  return Object.entries(secrets)
    .map(([name, value]) => `${name} ${Buffer.from(value).toString("hex")}\n`)
    .join("");
}

const functions = String.raw`set -eu
umask 077
secrets=$(cat)
fill() {
  SECRETS="$secrets" perl -pe '
    BEGIN { %s = map { my ($k, $v) = split / /, $_, 2; ($k, pack "H*", $v) } split /\n/, $ENV{SECRETS} }
    s/\@\{(\w+)\}/exists $s{$1} ? $s{$1} : die "no secret is named $1\n"/ge'
}
put() {
  install -d -m 0755 "$(dirname "$new/$1")"
  fill > "$new/$1"
  chown "$2:" "$new/$1"
  chmod "$3" "$new/$1"
}
check() {
  (cd "$new" && sh -c "$2") > "$new/.check" 2>&1 || {
    cat "$new/.check" >&2
    echo "$1 was refused; nothing was changed" >&2
    exit 1
  }
  rm -f "$new/.check"
}
same() {
  cmp -s "$new/$1" "$root/$1" && [ "$(stat -c %a:%U "$new/$1")" = "$(stat -c %a:%U "$root/$1")" ]
}`;

const moveIntoPlace = `old=$(cat "$root/.files" 2> /dev/null || :)
for file in $files; do
  same "$file" && continue
  notice=$(notice_for "$file")
  [ -z "$notice" ] || : > "$root/.notices/$notice"
  install -d -m 0755 "$(dirname "$root/$file")"
  mv -f "$new/$file" "$root/$file"
  echo "changed $file" || :
done
for file in $old; do
  case " $files " in *" $file "*) ;; *) rm -f "$root/$file"; echo "removed $file" || : ;; esac
done
echo "$files" > "$root/.files"
rm -rf "$new"`;

/** Shell text that prints which processes have to take notice: `reload NAME`, `restart NAME`. */
const listNotices = `for notice in "$root/.notices"/*; do
  [ ! -e "$notice" ] || echo "\${notice##*/}" | tr : " "
done`;

/** How long processes must have run where a workload says nothing of its health. */
export const steadySeconds = 5;
export const steadyMeaning = `its processes have run for ${steadySeconds} s`;

/** What a process has to do about a changed file. */
export type Notice = "reload" | "restart";

/**
 * @param root directory that the files' paths are below
 * @param files the whole set; a file that an earlier delivery brought and this one lacks is removed
 */
export function deliveryScript(root: string, files: readonly ManagedFile[]): string {
  const notices = files.flatMap(({ path, reloads, restarts }) => {
    const notice = restarts ? `restart:${restarts}` : reloads ? `reload:${reloads}` : "";
    return notice ? [`    ${quote(path)}) echo ${quote(notice)} ;;`] : [];
  });
  return [
    functions,
    `root=${quote(root)}`,
    'new="$root/.new"',
    'rm -rf "$new"',
    'install -d -m 0755 "$root" "$root/.notices" "$new"',
    `files=${quote(files.map((file) => file.path).join(" "))}`,
    ...files.map(
      ({ path, owner = "root", mode = "0644", content }) =>
        `put ${quote(path)} ${quote(owner)} ${mode} ${hereDocument(content.replaceAll("@{folder}", () => root))}`,
    ),
    ...files.flatMap(({ path, check }) => (check ? [`check ${quote(path)} ${quote(check)}`] : [])),
    'notice_for() {\n  case "$1" in',
    ...notices,
    "  esac\n}",
    moveIntoPlace,
    "",
  ].join("\n");
}

/** The same, which also prints `reload NAME` or `restart NAME` for each process that has to take notice. */
export function listingDeliveryScript(root: string, files: readonly ManagedFile[]): string {
  return `${deliveryScript(root, files)}${listNotices}\n`;
}

/** Shell text that drops a process's notice once it has been given. */
export function dropNotice(root: string, notice: Notice, process: string): string {
  return `rm -f ${quote(`${root}/.notices/${notice}:${process}`)}`;
}

/**
 * The shell text that brings a task's files into a folder of its own, runs the task there as its
 * user, and removes the folder. Here-documents keep secrets and scripts off command lines.
 */
export function taskScript({ name, files, user, script, shared = [] }: Task): string {
  const folder = `/run/hastack/${name}`;
  return [
    ...shared.map(({ path, owner }) => `install -d -o ${owner} -g ${owner} -m 0755 ${quote(path)}`),
    `trap 'rm -rf ${folder}' EXIT`,
    deliveryScript(folder, files).trimEnd(),
    `cd ${folder}`,
    user === undefined ? script : `runuser -u ${user} -- sh -euc ${quote(script)}`,
    "",
  ].join("\n");
}
