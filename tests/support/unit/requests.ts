/** Shell texts that make a request to the platform's programs in any machine; secrets come by input. */
import { joined } from "../../../infra/platform/machine.ts";
import type { ManagedFile, Task } from "../../../infra/platform/platform.ts";
import { encode, filesRequest, taskRequest } from "../../../infra/platform/request.ts";

/**
 * A text that is complete but for the secrets on its standard input.
 * @param edit a change of the program's text @default none
 */
export function requestScript(
  files: readonly string[],
  call: string,
  request: object,
  edit = (text: string) => text,
): string {
  const lines = encode(request).replace(/end\n$/, "");
  return `{ cat <<'END_OF_REQUEST'
${lines}END_OF_REQUEST
sed 's|^|secrets/|'; echo end; } | {
${edit(joined(files, "unit", call))}
}
`;
}

/** Delivers files, and prints who has to take notice. */
export function deliveryScript(root: string, files: readonly ManagedFile[]): string {
  const request = { root, files: filesRequest(files) };
  return requestScript(["request", "deliver"], "deliver\nlist_notices", request);
}

export function taskScript(task: Task): string {
  return requestScript(
    ["request", "users", "share", "deliver", "task"],
    "task",
    taskRequest(task, "/etc/hastack"),
  );
}
