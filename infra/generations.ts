/** Who has passwords that the stack makes, and how one takes the place of another. */

/** Who has a password of their own in every stack. */
export const principals = [
  "postgres",
  "replicator",
  "rewinder",
  "migrator",
  "etcdRoot",
  "etcdPatroni",
  "patroniApi",
  "statistics",
  "cache",
] as const;
export type Principal = (typeof principals)[number];

/**
 * Generations of a generated password or secret. The first of a list is the one in use, all of it are
 * taken. Another one comes in steps, so that nobody ever has one that is not taken:
 * `[1]`, `[1, 2]`, `[2, 1]`, `[2]`.
 */
export type Generations = readonly number[];

/** What a stack has that says nothing. */
export const firstGeneration: Generations = [1];

/** Whether one takes the place of another. */
export const isChanging = (generations: Generations): boolean => generations.length > 1;

export const inUse = ([first = 1]: Generations): number => first;

/**
 * The login that has a generation's password, where a server takes one password for each login. Two are
 * enough, as there are never more than two generations at a time. A tier's name ends with a letter, so it
 * is no other tier's.
 */
export const loginOf = (login: string, generation: number): string =>
  generation % 2 === 1 ? login : `${login}_2`;

/** Lists are of neighbours, so that both logins are never wanted by one. */
export function isStep(generations: Generations): boolean {
  const [first = 0, second] = generations;
  return second === undefined || Math.abs(first - second) === 1;
}

/** The file that tells a member what it has, by which a step that was left out is found. */
export const generationsFile = "generations";

export function renderGenerations(all: Readonly<Record<string, Generations>>): string {
  const lines = Object.entries(all).map(([name, list]) => `${name} ${list.join(" ")}\n`);
  return `# Generations of passwords: the first is in use, all are taken\n${lines.join("")}`;
}

/** Beside it, the same once that `up` has come to its end. Stacks of earlier releases get it with their first one. */
export const endedFile = ".generations-ended";

/**
 * Refuses a step that was left out: what was in use must still be taken, and what is to be in use must
 * have been taken before. While a step has not come to its end some still have what was before: it may be
 * taken again, or back, and no other one may come.
 */
export const generationsCheck = `[ ! -e ../${generationsFile} ] || awk '
  BEGIN { while ((getline < "../${endedFile}") > 0) ended[$1] = " " $0 " " }
  NR == FNR { before[$1] = " " $0 " "; old[$1] = $2; next }
  !($1 in old) { next }
  !index(before[$1], " " $2 " ") || !index(" " $0 " ", " " old[$1] " ") {
    print "hastack:credentials." $1 ": change it by one step at a time, each with its own up: [1], [1, 2], [2, 1], [2]. Now it is" list(before[$1])
    wrong = 1
    next
  }
  $1 in ended && ended[$1] != before[$1] && " " $0 " " != before[$1] && " " $0 " " != ended[$1] {
    print "hastack:credentials." $1 ": the up of its last step has not come to its end, and some still have what was before. Set" list(before[$1]) " again (or" list(ended[$1]) ", to go back) and run up until it ends, then take the next step"
    wrong = 1
  }
  function list(line) {
    sub(/^ [^ ]+ /, "", line)
    sub(/ $/, "", line)
    gsub(/ /, ", ", line)
    return " [" line "]"
  }
  END { exit wrong }' ../${generationsFile} ${generationsFile}`;
