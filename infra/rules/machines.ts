/** The machines that are listed: their names, and which roles share one. */
import { isRole, roleRow } from "../roles.ts";
import type { Settings } from "../settings.ts";
import type { Machine } from "../topology.ts";
import { duplicates, type Problem } from "./problem.ts";

export function machineProblems(
  { network }: Pick<Settings, "network">,
  machines: readonly Machine[],
): Problem[] {
  const managed = network.management !== undefined;
  return [
    ...duplicates(machines.map(({ name }) => name)).map((name) => ({
      path: `machines.${name}.name`,
      value: name,
      why: "is a duplicate",
      fix: "use another",
    })),
    ...machines.flatMap(roleProblems),
    ...machines
      .filter(({ management }) => (management !== undefined) !== managed)
      .map((machine) => managementProblem(machine, managed)),
  ];
}

/** SSH comes by the management network alone where there is one, and to every machine. */
function managementProblem({ name, management }: Machine, managed: boolean): Problem {
  const path = `machines.${name}.management`;
  return managed
    ? {
        path,
        why: "is missing, and hastack:network.management is given",
        fix: "give the machine's address in the management network",
      }
    : {
        path,
        value: management,
        why: "is in no network",
        fix: "give hastack:network.management, or leave it out",
      };
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
