/** What each resource of the state wants to be there: the questions, and their right answers. */

import { authorityFile } from "../../infra/certificates/domains.ts";
import { dockerNames } from "../../infra/platform/docker/names.ts";
import type { FileRequest, PlaceRequest, TaskRequest } from "../../infra/platform/request.ts";
import { unitName } from "../../infra/platform/ssh/systemd.ts";
import { patroniUrl } from "../../infra/render/patroni.ts";
import type { Topology } from "../../infra/topology.ts";
import { wholeValue } from "../../lib/long-variable.ts";
import { engineThings } from "./engine.ts";
import type { Brought, Expectation } from "./expectation.ts";
import { firewallThings } from "./firewall.ts";
import { flat } from "./patroni.ts";
import { type Call, callOf, type Resource } from "./state.ts";
import { atStart, type Base, fileThing, packageThing, plainFile, unitThing } from "./things.ts";

type Named<T> = Readonly<Record<string, T>>;

/** What is known where a resource is read. */
interface Place {
  readonly stack: string;
  readonly topology: Topology;
  readonly resource: Resource;
  readonly call: Call;
  /** Whose thing it is. */
  readonly machine: string;
}

type Read = (place: Place) => Expectation[];

/** By the call that made it; what is not named leaves nothing that could be altered. */
const readers: Named<Read> = {
  "docker/deliver-files.ts": delivered,
  "docker/run-task.ts": task,
  "ssh/run.ts task": task,
  "ssh/run.ts place": placed,
  "ssh/run.ts ship": shipped,
  "ssh/run.ts packages": packages,
  "ssh/run.ts mount_volume": mounted,
  "ssh/run.ts mount_export": mounted,
  "ssh/try-firewall.ts close": (place) =>
    firewallThings(place.machine, request(place), base(place)),
};

const mended = "npx pulumi up puts it back";

/** @param topology where the database's members are asked for their settings */
export function expectations(
  stack: string,
  topology: Topology,
  resources: readonly Resource[],
): Expectation[] {
  const byCalls = resources.flatMap((resource) => {
    const call = callOf(resource);
    const read = call && readers[call.name];
    if (!read) return [];
    return read({ stack, topology, resource, call, machine: machineOf(stack, call) });
  });
  return [...byCalls, ...engineThings(stack, resources)];
}

/** Every secret of a state, by name; those of several lines line by line. */
export function secretsIn(resources: readonly Resource[]): ReadonlyMap<string, string> {
  const all = resources.flatMap((resource) => Object.entries(callOf(resource)?.secrets ?? {}));
  const lines = all.flatMap(([name, value]) =>
    value.split("\n").map((line): [string, string] => [name, line.trim()]),
  );
  // By value, as names repeat; shorter ones would hide words that are none
  const byValue = new Map(lines.filter(([, line]) => line.length >= 8).map(([a, b]) => [b, a]));
  return new Map([...byValue].map(([value, name], index) => [`${name}#${index}`, value]));
}

/** On Docker a member is a machine; there the target says which. */
function machineOf(stack: string, call: Call): string {
  const { MACHINE } = call.environment;
  return MACHINE ?? containerOf(call).slice(dockerNames(stack).container("").length);
}

function containerOf({ environment: { TARGET = "{}" } }: Call): string {
  return (JSON.parse(TARGET) as { container?: string }).container ?? "";
}

/** What an image brings: nothing writes there. */
const imageFolders = "/opt /usr";

const request = <T>({ call }: Place): T =>
  JSON.parse(wholeValue(call.environment, "REQUEST") ?? "{}") as T;

const base = ({ machine, resource }: Place): Base => ({
  machine,
  fix: mended,
  unsure: resource.unsure,
});

/** On machines a replacement would take the whole workload away first. */
function broughtInto({ resource, call }: Place, folder: string): Brought {
  const withoutNote = call.name.startsWith("docker/")
    ? `npx pulumi up --replace '**Command::${resource.name}' brings it again`
    : "put it back by hand: an earlier release delivered it, and up sees it from the next delivery on";
  return { folder, withoutNote };
}

function delivered(place: Place): Expectation[] {
  const { root, files, processes } = request<PlaceRequest>(place);
  const services = `${root}/services`;
  return [
    ...filesOf(place, root, files),
    ...processes.map(({ name }) => ({
      ...base(place),
      brought: broughtInto(place, root),
      fix: `${mended}; one that was stopped by a signal goes on by kill -CONT`,
      ask: `service ${services}/${name}`,
      thing: `process ${name}`,
      should: { run: "up", [atStart]: "yes" },
    })),
    {
      ...base(place),
      ask: `services ${services}`,
      thing: services,
      should: {
        names: processes
          .map(({ name }) => name)
          .sort()
          .join(" "),
      },
      fix: `remove what is no service of the stack's from ${services} there`,
    },
    {
      ...base(place),
      ask: `layer ${imageFolders}`,
      thing: `programs in ${imageFolders}`,
      should: {},
      whole: true,
      fix: `docker rm --force ${containerOf(place.call)}; npx pulumi up makes it anew`,
    },
  ];
}

function placed(place: Place): Expectation[] {
  const { member, root, files, processes, release, sysctls = {} } = request<PlaceRequest>(place);
  const link = `/opt/hastack/current/${member}`;
  return [
    ...filesOf(place, root, files),
    ...processes.map(({ name }) => ({
      ...unitThing(base(place), unitName(name), `${root}/units`),
      brought: broughtInto(place, root),
      fix: `${mended}; one that was stopped by a signal goes on by systemctl kill --signal=CONT`,
    })),
    ...(release
      ? [
          {
            ...base(place),
            ask: `link ${link}`,
            thing: link,
            should: { target: release },
            fix: `there: ln -sfn ${release} ${link}, then systemctl restart its units`,
          },
        ]
      : []),
    ...Object.entries(sysctls).map(([name, value]) => ({
      ...base(place),
      ask: `kernel ${name}`,
      thing: `kernel setting ${name}`,
      should: { value },
      fix: `there: sysctl -w ${name}=${value}`,
    })),
  ];
}

function filesOf(place: Place, folder: string, files: Named<FileRequest>): Expectation[] {
  const { secrets } = place.call;
  return Object.entries(files).map(([path, file]) => {
    const text = filled(file.content, secrets && { ...secrets, folder });
    return fileThing(base(place), `${folder}/${path}`, file, text, broughtInto(place, folder));
  });
}

/** As `programs/deliver` does it. */
function filled(template: string, secrets: Named<string> | undefined): string | undefined {
  const names = [...template.matchAll(/@\{(\w+)\}/g)].map(([, name = ""]) => name);
  if (names.length > 0 && names.some((name) => secrets?.[name] === undefined)) return undefined;
  return template.replaceAll(/@\{(\w+)\}/g, (_, name: string) => secrets?.[name] ?? "");
}

function shipped(place: Place): Expectation[] {
  const { programs } = request<{ programs: Named<string> }>(place);
  const again = {
    ...base(place),
    fix: `npx pulumi up --replace '**Command::${place.resource.name}'`,
  };
  return Object.entries(programs).map(([name, text]) =>
    plainFile(again, `/opt/hastack/programs/${name}`, text),
  );
}

function packages(place: Place): Expectation[] {
  const { packages } = request<{ packages: readonly string[] }>(place);
  return packages.map((name) => {
    const fix = `there: apt-mark unhold ${name}; sh /opt/hastack/programs/install-packages ${name}`;
    return packageThing({ ...base(place), fix }, name);
  });
}

function mounted(place: Place): Expectation[] {
  const { directory, path, unit } = request<Record<"directory" | "path" | "unit", string>>(place);
  const name = unitName(directory);
  return [
    plainFile(base(place), `/etc/systemd/system/${name}`, unit),
    unitThing(base(place), name),
    { ...base(place), ask: `mounted ${path}`, thing: path, should: { is: "mounted" } },
  ];
}

/** Of tasks only Patroni's settings stay somewhere; every database member knows them. */
function task(place: Place): Expectation[] {
  const { name, files, workload } = request<TaskRequest>(place);
  const text = files["dynamic.json"]?.content;
  if (name !== "database-settings" || text === undefined) return [];
  return place.topology.members.database.map((member) => {
    const isDocker = place.call.name.startsWith("docker/");
    const folder = isDocker ? workload : `/etc/hastack/${member.name}`;
    return {
      ...base(place),
      machine: isDocker ? member.name : member.machine,
      ask: `patroni ${folder}/${authorityFile("patroni-api")} ${patroniUrl(member)}/config`,
      thing: "Patroni's settings in etcd",
      should: flat(JSON.parse(text)),
      whole: true,
    };
  });
}
