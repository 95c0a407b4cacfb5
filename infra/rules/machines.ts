/** The machines that are listed: their names, and which roles share one. */
import { isRole, roleRow } from "../roles.ts";
import type { Machine } from "../topology.ts";
import { duplicates, type Problem } from "./problem.ts";

export function machineProblems(machines: readonly Machine[]): Problem[] {
  return [
    ...duplicates(machines.map(({ name }) => name)).map((name) => ({
      path: `machines.${name}.name`,
      value: name,
      why: "is a duplicate",
      fix: "use another",
    })),
    ...machines.flatMap(roleProblems),
  ];
}

function roleProblems({ name, roles, frontend }: Machine): Problem[] {
  const path = `machines.${name}`;
  const twice = duplicates(roles).map((value) => ({
    path: `${path}.roles`,
    value,
    ...(isRole(value) && roleRow(value).apart
      ? {
          why: "is a duplicate, and two members on one machine would be lost together",
          fix: "put them on two machines",
        }
      : { why: "is a duplicate", fix: "name it once" }),
  }));
  const inFrontend = roles.filter((role) => isRole(role) && roleRow(role).frontend);
  if (inFrontend.length === 0 || frontend !== undefined) return twice;
  return [
    ...twice,
    {
      path: `${path}.frontend`,
      why: `is missing, and the role ${inFrontend[0]} needs it`,
      fix: "give the machine's address in the frontend network",
    },
  ];
}
