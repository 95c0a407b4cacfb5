/**
 * npm run bench:hop: what TLS between load balancer and instance costs. One storefront is asked through
 * the stack's own HAProxy: straight, and by TLS through the proxy beside it. Runs of the two alternate,
 * so that what else the machine does meets both; the ratio is the middle of the pairs' ratios.
 */
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrateDatabase, serverConfig } from "../app/test/support/app.ts";
import {
  balancerImage,
  docker,
  removeContainers,
  startContainer,
} from "../app/test/support/docker.ts";
import { createDatabase, startPrimary } from "../app/test/support/postgres.ts";
import { until } from "../app/test/support/until.ts";
import { readApplication } from "../infra/application/application.ts";
import { authorityFile, type Leaf, leafFile } from "../infra/certificates/domains.ts";
import { issueAuthority, issueLeaf } from "../infra/certificates/issue.ts";
import { planCertificates } from "../infra/certificates/plan.ts";
import { planTopology } from "../infra/plan.ts";
import { renderHaproxy } from "../infra/render/haproxy.ts";
import { errorTextsFile, renderErrorTexts } from "../infra/render/haproxy-errors.ts";
import {
  neverReachedAnswer,
  neverReachedFile,
  renderInstanceProxy,
} from "../infra/render/instance-proxy.ts";
import { readSettings } from "../infra/settings.ts";
import { inRoot, readProjectFile } from "../lib/paths.ts";
import { connections, type Load, type Measured, measure, median, middle } from "./measure.ts";
import { freePort, startProcess } from "./process.ts";

const pairs = 5;
const runSeconds = 3;

/** A stack whose first storefront and load balancer are measured. */
function plan() {
  const network = {
    frontend: { subnet: "10.1.0.0/24", vip: "10.1.0.100" },
    backend: { subnet: "10.2.0.0/24", vip: "10.2.0.100" },
  };
  const settings = readSettings("bench", {
    "hastack:platform": "docker",
    "hastack:plainHttp": "true",
    "hastack:network": JSON.stringify(network),
  });
  const application = readApplication(settings);
  return { settings, application, topology: planTopology(settings, application.tiers) };
}

interface Ports {
  readonly application: number;
  readonly proxy: number;
  readonly straight: number;
  readonly secured: number;
}

/** Both HAProxies' files, with this machine's own addresses. */
async function writeFiles(folder: string, ports: Ports): Promise<void> {
  const { settings, application, topology } = plan();
  const tier = application.tiers.find(({ name }) => name === "storefront");
  const [self] = topology.tiers.storefront ?? [];
  const [balancer] = topology.members.loadBalancer;
  if (!tier || !self || !balancer) throw new Error("there is no storefront to measure");
  const whole = renderHaproxy(settings, topology, application, balancer).split("\n\n");
  const part = (title: string) => whole.find((one) => one.startsWith(title)) ?? "";
  const kinds = ["backend storefront\n", "backend storefront_writes\n"].map((one) =>
    part(one)
      .replaceAll(`${self.backend}:${self.port}`, `127.0.0.1:${ports.proxy}`)
      .replaceAll(/\n {2}server storefront-2 .*/g, ""),
  );
  const frontend = (name: string, port: number, suffix = "") =>
    `frontend ${name}\n  mode http\n  unique-id-format %[uuid()]\n  http-request wait-for-body time 10s\n  http-request set-var(txn.body) req.body_len\n  bind 127.0.0.1:${port}\n  use_backend storefront_writes${suffix} if !METH_GET\n  default_backend storefront${suffix}`;
  const straight = kinds.map((one) =>
    one
      .replaceAll(/storefront(_writes)?(?=[\n/])/g, (name) => `${name}_straight`)
      .replaceAll(/\n {2}default-server ssl .*| verifyhost \S+| pool-conn-name \S+/g, "")
      .replaceAll(`:${ports.proxy}`, `:${ports.application}`),
  );
  const proxy = renderInstanceProxy(settings, topology, tier, self, {
    cache: false,
    certificates: "",
  })
    .replaceAll(`127.0.0.1:${self.port}`, `127.0.0.1:${ports.application}`)
    .replace(`${self.backend}:${self.port}`, `127.0.0.1:${ports.proxy}`);
  const texts = {
    "haproxy.cfg": `${[
      part("global"),
      part("defaults"),
      frontend("straight", ports.straight, "_straight"),
      frontend("secured", ports.secured),
      ...straight,
      ...kinds,
    ].join("\n\n")}\n`,
    "proxy.cfg": proxy,
    [neverReachedFile]: neverReachedAnswer,
    [errorTextsFile]: renderErrorTexts(readProjectFile("haproxy/errors/page.html")),
    ...(await certificates(topology)),
  };
  await mkdir(join(folder, "tls"));
  await chmod(folder, 0o755);
  for (const [path, text] of Object.entries(texts)) await writeFile(join(folder, path), text);
}

async function certificates(topology: ReturnType<typeof plan>["topology"]) {
  const authority = await issueAuthority("bench");
  const end = new Date(Date.now() + 86_400_000);
  const issue = async (member: string, name: Leaf) => {
    const leaf = planCertificates(topology, false)
      .find((one) => one.member.name === member)
      ?.leaves.find((one) => one.leaf === name);
    if (!leaf) throw new Error(`${member} has no certificate ${name}`);
    const { certificate, key } = await issueLeaf(leaf, authority, end);
    return { [leafFile(name)]: certificate + key };
  };
  return {
    [authorityFile("instances")]: authority.certificate,
    ...(await issue("storefront-1", "instance")),
    ...(await issue("lb-1", "load-balancer")),
  };
}

/** Everything that runs during the measurement. */
async function prepare() {
  const folder = await mkdtemp(join(tmpdir(), "hastack-bench-hop-"));
  const uploads = await mkdtemp(join(tmpdir(), "hastack-bench-uploads-"));
  const postgres = await startPrimary("bench");
  const name = await createDatabase(postgres);
  await migrateDatabase(name, postgres, { sampleData: true, uploadsDirectory: uploads });
  const config = serverConfig("storefront", { name, writer: postgres }, uploads);
  const server = await startProcess(inRoot("app/src/run/server.ts"), config);
  const ports = {
    application: Number(new URL(server.url).port),
    proxy: await freePort(),
    straight: await freePort(),
    secured: await freePort(),
  };
  await writeFiles(folder, ports);
  const image = await balancerImage();
  const start =
    "install -d /run/haproxy /run/hastack-storefront-proxy; cd /bench; haproxy -W -db -f proxy.cfg & exec haproxy -W -db -f haproxy.cfg";
  const container = await startContainer("hop", [
    "--network=host",
    `--volume=${folder}:/bench:ro`,
    image,
    "sh",
    "-c",
    start,
  ]);
  const stop = async () => {
    await server.stop();
    await removeContainers();
    await rm(folder, { recursive: true });
    await rm(uploads, { recursive: true });
  };
  return { ports, container, stop };
}

const say = (text: string) => process.stdout.write(`${text}\n`);

const row = (what: string, { perSecond, p50, p95, p99 }: Measured) =>
  say(
    `${what.padEnd(28)}${[perSecond.toFixed(0), ...[p50, p95, p99].map((ms) => ms.toFixed(1))].map((one) => one.padStart(9)).join("")}`,
  );

async function compare(name: string, path: string, ports: Ports): Promise<void> {
  const load = (port: number): Load => ({ url: `http://127.0.0.1:${port}`, path });
  const both = { straight: load(ports.straight), secured: load(ports.secured) };
  for (const one of Object.values(both)) await measure(one, 1);
  const straight: Measured[] = [];
  const secured: Measured[] = [];
  for (let pair = 0; pair < pairs; pair += 1) {
    straight.push(await measure(both.straight, runSeconds));
    secured.push(await measure(both.secured, runSeconds));
  }
  row(`${name}, straight`, middle(straight));
  row(`${name}, by TLS`, middle(secured));
  const ratios = secured.map(
    ({ perSecond }, pair) => perSecond / (straight[pair]?.perSecond ?? Number.NaN),
  );
  say(`  ratio ${median(ratios).toFixed(2)}`);
}

/** Prints a table; nothing of it stays. */
export async function main(): Promise<number> {
  const { ports, container, stop } = await prepare();
  try {
    await until(
      "the storefront answers by TLS",
      () => fetch(`http://127.0.0.1:${ports.secured}/`),
      ({ status }) => status === 200,
      20,
    );
    say(`${connections} clients, ${pairs} pairs of ${runSeconds} s, all on this machine`);
    say(
      `${"".padEnd(28)}${["req/s", "p50 ms", "p95", "p99"].map((one) => one.padStart(9)).join("")}`,
    );
    await compare("home", "/", ports);
    await compare("offers API", "/api/offers", ports);
    await compare("health", "/api/health", ports);
    const memory =
      "for p in $(pgrep -f proxy.cfg); do awk '/^Rss|^Pss:/ { print $1, $2 }' /proc/$p/smaps_rollup; done | xargs";
    say(`the proxy's memory, KiB: ${await docker("exec", container, "sh", "-c", memory)}`);
    return 0;
  } finally {
    await stop();
  }
}
