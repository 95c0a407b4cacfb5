/** What differs between the state of the last `up` and what there is. Nothing is asked here. */
import type { Answer, Answers, Brought, Expectation, Finding, Properties } from "./expectation.ts";
import { rulesAsThere, rulesFile } from "./firewall.ts";
import { shownLines, toldLines } from "./lines.ts";
import { flat } from "./patroni.ts";

/** What all machines answered, by machine; `""` is the engine. */
export type Seen = ReadonlyMap<string, Answers>;

/** Something that differs, with the question that it came from. */
export interface Difference {
  readonly expectation: Expectation;
  readonly property: string;
  readonly is: string;
  readonly shouldBe: string;
}

export interface Comparison {
  readonly differences: readonly Difference[];
  /** What an `up` that was cut off, or failed, may have done: it is no change by hand. */
  readonly unrecorded: readonly Expectation[];
}

const unsaid = "nothing";

/** @param seen what was answered; what was not asked, or not answered, is passed over */
export function compare(expectations: readonly Expectation[], seen: Seen): Comparison {
  const differences: Difference[] = [];
  const unrecorded: Expectation[] = [];
  for (const expectation of expectations) {
    const found = differencesOf(expectation, seen.get(expectation.machine));
    if (found.length === 0) continue;
    if (expectation.unsure || isNoted(expectation, seen)) unrecorded.push(expectation);
    else differences.push(...found);
  }
  return { differences, unrecorded };
}

function differencesOf(expectation: Expectation, answers: Answers | undefined): Difference[] {
  const { ask, should, whole = false } = expectation;
  const answer = answers?.get(ask);
  if (answer === undefined) return [];
  if (ask.startsWith("text ")) return textDifferences(expectation, textOf(answer));
  if (ask.startsWith("layer ")) return layerDifferences(expectation, answer);
  const is = ask.startsWith("patroni ") ? settingsIn(textOf(answer)) : Object.fromEntries(answer);
  if (is === undefined) return [];
  const names = whole ? new Set([...Object.keys(should), ...Object.keys(is)]) : Object.keys(is);
  const different = [...names]
    .filter((name) => whole || should[name] !== undefined)
    .filter((name) => is[name] !== should[name])
    .map((property) => ({
      expectation,
      property,
      is: is[property] ?? unsaid,
      shouldBe: should[property] ?? unsaid,
    }));
  // What is something else altogether has other properties, too
  const [other] = different.filter(({ property }) => property === "is");
  if (other !== undefined) return [other];
  const noted = notedContent(expectation, answers);
  if (noted === undefined || is.content === undefined || noted.includes(is.content)) {
    return different;
  }
  return [
    ...different,
    { expectation, property: "content", is: is.content, shouldBe: noted[0] ?? "" },
  ];
}

/** Where a file's secrets are not known here: what was noted there of its content. */
function notedContent(
  { file, brought, should }: Expectation,
  answers: Answers | undefined,
): readonly string[] | undefined {
  if (file === undefined || should.content !== undefined) return undefined;
  const notes = notesOf(brought, answers).flatMap(({ path, hash }) =>
    path === file.path ? [hash] : [],
  );
  return notes.length > 0 ? notes : undefined;
}

/** Whether a file is as a delivery brought it, though not the one that the state knows. */
function isNoted({ machine, ask, file, brought }: Expectation, seen: Seen): boolean {
  const answers = seen.get(machine);
  if (file === undefined) return false;
  const is = Object.fromEntries(answers?.get(ask) ?? []);
  return notesOf(brought, answers).some(
    ({ hash, mode, owner, path }) =>
      path === file.path && hash === is.content && mode === is.mode && owner === is.owner,
  );
}

function notesOf(brought: Brought | undefined, answers: Answers | undefined) {
  return (answers?.get(`notes ${brought?.folder}`) ?? []).map(([, line]) => {
    const [hash = "", mode = "", owner = "", ...path] = line.split(" ");
    return { hash, mode, owner, path: path.join(" ") };
  });
}

/** The firewall's rules are filled in there. */
function textDifferences(expectation: Expectation, is: string): Difference[] {
  const text = rulesAsThere(expectation.file?.template ?? "", is);
  return is === text ? [] : [{ expectation, property: "content", is, shouldBe: text }];
}

/** Every file of a container's that its image has otherwise, or not at all. */
function layerDifferences(expectation: Expectation, answer: Answer): Difference[] {
  return answer.slice(0, shownLines).map(([, path]) => ({
    expectation,
    property: path,
    is: "added or changed",
    shouldBe: "as its image has it",
  }));
}

/** @returns nothing where a member says nothing, or what are no settings */
function settingsIn(text: string): Properties | undefined {
  try {
    return flat(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Characters of a file that are compared line by line: no file of the stack's is near that. */
const mostText = 2 ** 18;

export function textOf(answer: Answer | undefined): string {
  const [[, text = ""] = []] = answer ?? [];
  return Buffer.from(text, "base64").toString();
}

/**
 * For people, each with what to do.
 * @param texts of the files that differ, by machine and question
 * @param secrets values that are shown nowhere
 * @param name what a machine is called
 */
export function findingsOf(
  differences: readonly Difference[],
  texts: Seen,
  secrets: ReadonlyMap<string, string>,
  name: (expectation: Expectation) => string,
): Finding[] {
  const all = differences.flatMap((one) =>
    toldOf(one, texts, secrets).map((told) => finding(one, told, name(one.expectation), texts)),
  );
  // Every member of the database tells of the same settings, and several workloads need a package
  return [...new Map(all.map((one) => [`${one.machine} ${one.what}`, one])).values()];
}

interface Told {
  readonly line?: number;
  readonly is: string;
  readonly shouldBe: string;
}

function toldOf(
  { expectation, property, is, shouldBe }: Difference,
  texts: Seen,
  secrets: ReadonlyMap<string, string>,
): Told[] {
  const { file, machine, ask, thing } = expectation;
  if (property !== "content" || file === undefined) return [{ is, shouldBe }];
  const isRules = thing === rulesFile;
  const answer = texts.get(machine)?.get(ask.replace(/^file/, "text"));
  const there = (isRules ? is : textOf(answer)).slice(0, mostText);
  if (there === "" || (file.text === undefined && file.isSecret)) {
    return [
      { is: answer && there === "" ? "empty" : "another one", shouldBe: "as it was delivered" },
    ];
  }
  const lines = toldLines(
    isRules ? { ...file, text: shouldBe, template: shouldBe } : file,
    there,
    secrets,
  );
  const rest = lines.length - shownLines;
  return rest > 0
    ? [
        ...lines.slice(0, shownLines),
        { is: `${rest} more lines that differ`, shouldBe: "as delivered" },
      ]
    : lines;
}

function finding(
  { expectation, property }: Difference,
  told: Told,
  machine: string,
  seen: Seen,
): Finding {
  const { thing, brought } = expectation;
  const isUnnoted = brought && notesOf(brought, seen.get(expectation.machine)).length === 0;
  const fix = isUnnoted ? brought.withoutNote : expectation.fix;
  const { line, is, shouldBe } = told;
  const place =
    line === undefined ? (nameless.includes(property) ? "" : `, ${property}`) : `, line ${line}`;
  const what = `${thing}${place}: is ${is}, should be ${shouldBe}`;
  return { machine, thing, ...(line !== undefined && { line }), property, is, shouldBe, what, fix };
}

/** What a thing is called says enough of these. */
const nameless: readonly string[] = ["is", "run", "value", "content"];
