/** What members of a release without certificates were given, for the addresses of a test's stack. */
import type { ManagedFile, Workload } from "../../../infra/platform/platform.ts";
import { readProjectFile } from "../../../lib/paths.ts";

/** Addresses of the texts, which are for db-1 and lb-1. */
const written = { backend: "10.2.0.", frontend: "10.1.0.", member: /\bdb-1$/gm };

/** A workload as that release had it, but for HAProxy's error pages. */
export function asBefore(workload: Workload): Workload {
  const { host } = workload;
  const texts: Readonly<Record<string, string>> = {
    "patroni.yml": readProjectFile("tests/support/unit/earlier-release/patroni.yml"),
    "haproxy.cfg": readProjectFile("tests/support/unit/earlier-release/haproxy.cfg"),
  };
  const files = workload.files
    .filter(({ path }) => !path.startsWith("tls/"))
    .map((file): ManagedFile => {
      const text = texts[file.path];
      return text === undefined ? file : { ...file, content: addressed(text, host) };
    });
  return { ...workload, files };
}

function addressed(text: string, { name, backend, frontend = "" }: Workload["host"]): string {
  const network = (address: string) => address.replace(/\d+$/, "");
  // Its own address stands at the keys that listen
  const own = text
    .replaceAll(/(listen|connect_address): 10\.2\.0\.31:/g, `$1: ${backend}:`)
    .replaceAll(written.member, name);
  return own
    .replaceAll(written.backend, network(backend))
    .replaceAll(written.frontend, network(frontend));
}
