/** What people type and others read: names, quotes, things to do. */
import { z } from "zod";

/**
 * Characters that show as nothing wherever they stand: Unicode's default ignorable ones, zero-width
 * and right-to-left marks among them, and interlinear marks. As ranges, in the notation that
 * JavaScript's and PostgreSQL's regular expressions share up to the last one.
 */
const ignorable =
  "\\u00AD\\u034F\\u061C\\u115F-\\u1160\\u17B4-\\u17B5\\u180B-\\u180F\\u200B-\\u200F\\u202A-\\u202E" +
  "\\u2060-\\u206F\\u3164\\uFE00-\\uFE0F\\uFEFF\\uFFA0\\uFFF0-\\uFFFB";
const ignorableBeyond = [
  ["1BCA0", "1BCA3"],
  ["1D173", "1D17A"],
  ["E0000", "E0FFF"],
] as const;
const blank =
  "\\u0009-\\u000D\\u0020\\u0085\\u00A0\\u1680\\u2000-\\u200A\\u2028-\\u2029\\u202F\\u205F" +
  "\\u2800\\u3000";

const javaScript = (from: string) => `\\u{${from}}`;
const postgres = (from: string) => `\\U${from.padStart(8, "0")}`;
const ignorableClass = (code: (hex: string) => string) => {
  const beyond = ignorableBeyond.map(([first, last]) => `${code(first)}-${code(last)}`);
  return `[${ignorable}${beyond.join("")}]`;
};

const ignorables = new RegExp(ignorableClass(javaScript), "gu");
const blanks = new RegExp(`[${blank}]+`, "gu");
/** What shows as nothing though Unicode counts it as a symbol, and what needs a letter to stand on. */
const nothing = /[\p{White_Space}\p{Cc}\p{Cf}\p{Mn}\p{Me}\u2800\u{1D159}\u{13441}\u{13442}]/gu;
/** Lone halves of a character, and controls but for tabs and ends of lines. */
const unfit = /\p{Cs}|(?![\t\n\r])\p{Cc}/u;

/** A text as it is compared: as it looks, whatever stands in it unseen. */
export function asSeen(value: string): string {
  return value.replace(ignorables, "").replace(blanks, " ").trim().normalize("NFC");
}

/**
 * The same in SQL. The index of migration 0003 has it letter by letter, or it is not used. No function
 * of our own: an older release's grants would take it away from those who write.
 */
export function asSeenSql(text: string): string {
  const bare = `regexp_replace(${text}, '${ignorableClass(postgres)}', '', 'g')`;
  return `normalize(btrim(regexp_replace(${bare}, '[${blank}]+', ' ', 'g')), NFC)`;
}

/**
 * A text as it is kept: in one form, without blanks around it, and empty where nothing of it can be
 * seen. What joins the parts of an emoji or of a Persian word stays inside what can be seen.
 */
function normalise(value: string): string {
  const text = value.trim().normalize("NFC");
  const isSeen = text.replace(ignorables, "").replace(nothing, "") !== "";
  return isSeen ? text : "";
}

/** A text that can be shown and that PostgreSQL can store. Length in characters. */
export function text(name: string, longest: number, { empty = false } = {}): z.ZodString {
  const missing = `The ${name} is missing.`;
  const schema = z
    .string({
      error: (issue) => (issue.input === undefined ? missing : `The ${name} is not text.`),
    })
    .refine((value) => !unfit.test(value), `The ${name} has a character that cannot be stored.`)
    .overwrite(normalise)
    .max(longest, `The ${name} is longer than ${longest} characters.`);
  return empty ? schema : schema.min(1, `The ${name} is empty, or nothing of it can be seen.`);
}
