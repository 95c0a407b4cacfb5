/** How `pulumi stack output --json` shows a value that is secret. */
const hidden = "[secret]";

/** These come first, in this order; other outputs follow by name. */
const first = ["url", "localUrls", "adminUrl", "adminPassword", "statsUrl", "statsUrls"];

/** An output's value in a line or more; nothing if it is not text, such as the list of machines. */
function lines(name: string, value: unknown, stack: string): string[] {
  if (value === hidden) return [`npx pulumi stack output ${name} --show-secrets --stack ${stack}`];
  const values = Array.isArray(value) ? value : [value];
  return values.every((item) => ["string", "number", "boolean"].includes(typeof item))
    ? values.map(String)
    : [];
}

/** The stack's outputs for people: a line for each value, a command instead of each secret. */
export function addressTable(outputs: Readonly<Record<string, unknown>>, stack: string): string {
  const others = Object.keys(outputs).filter((name) => !first.includes(name));
  const names = [...first.filter((name) => name in outputs), ...others.sort()];
  const width = Math.max(...names.map((name) => name.length));
  return names
    .flatMap((name) =>
      lines(name, outputs[name], stack).map((line, index) => {
        return `  ${(index === 0 ? name : "").padEnd(width)}  ${line}\n`;
      }),
    )
    .join("");
}
