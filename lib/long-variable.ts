/** Environment variables longer than Linux takes as one: the rest is in `NAME_2`, `NAME_3` and so on. */

/** Linux takes 128 KiB for name and value together. */
const mostBytes = 120_000;
/** Of up to four bytes each. */
const charactersOfPart = /.{1,30000}/gsu;

/** The variables that carry a value. */
export function variablesOf(name: string, value: string): Readonly<Record<string, string>> {
  if (Buffer.byteLength(value) <= mostBytes) return { [name]: value };
  const parts = value.match(charactersOfPart) ?? [];
  return Object.fromEntries(parts.map((part, index) => [nameOf(name, index), part]));
}

/** @returns nothing where there is none of the name */
export function wholeValue(
  variables: Readonly<Record<string, string | undefined>>,
  name: string,
): string | undefined {
  const first = variables[name];
  if (first === undefined) return undefined;
  let whole = first;
  for (let index = 1; ; index += 1) {
    const part = variables[nameOf(name, index)];
    if (part === undefined) return whole;
    whole += part;
  }
}

const nameOf = (name: string, index: number): string =>
  index === 0 ? name : `${name}_${index + 1}`;
