import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { EtcdQuorum } from "./tests/support/unit/etcd-quorum.ts";
import { LoadBalancerPair } from "./tests/support/unit/load-balancer-pair.ts";
import { PatroniPair } from "./tests/support/unit/patroni-pair.ts";
import { questionsTo } from "./operate/status/status.ts";
import { readAnswers, scriptOf } from "./operate/status/ask.ts";

const [what] = process.argv.slice(2);
const out: Record<string, unknown> = {};
async function ask(set: any, names: string[], label: string) {
  const stack = { name: "unit", ...set.stack } as any;
  const one: Record<string, unknown> = {};
  const start = Date.now();
  await Promise.all(names.map(async (name) => {
    const r = await set.on(name).attempt(scriptOf(questionsTo(stack, name)));
    one[name] = readAnswers(r.stdout);
    if (process.env.RAW) writeFileSync(`/tmp/look/raw-${label.replaceAll(" ", "-")}-${name}`, r.stdout);
    if (r.stderr) console.log(label, name, "stderr:", r.stderr);
  }));
  console.log(label, (Date.now() - start) / 1000, "s");
  out[label] = one;
}
if (what === "etcd") {
  const q = await EtcdQuorum.start();
  await q.placeAll();
  const names = ["etcd-1", "etcd-2", "etcd-3"];
  const { code, stdout, stderr } = await q.task("etcd-users", { root_password: "root", patroni_password: "patroni" });
  console.log("users", code, stdout, stderr);
  await ask(q, names, "well");
  await q.on("etcd-1").run("pkill -STOP -x etcd");
  await sleep(3000);
  await ask(q, names, "one hangs");
  await q.on("etcd-1").run("pkill -CONT -x etcd");
  await sleep(2000);
  await q.on("etcd-1").run("s6-svc -wd -d /etc/hastack/services/etcd");
  await q.on("etcd-2").run("s6-svc -wd -d /etc/hastack/services/etcd");
  await sleep(4000);
  await ask(q, names, "no quorum");
  await q.remove();
}
if (what === "db") {
  const p = await PatroniPair.start();
  await p.startQuorum("https");
  await p.placeAll();
  await p.whole();
  const names = ["db-1", "db-2", "lb-1"];
  await sleep(12000);
  await ask(p, names, "well");
  await p.on("db-1").run("pkill -STOP -f '[/]usr/bin/patroni'");
  await sleep(2500);
  await ask(p, names, "patroni hangs");
  await p.on("db-1").run("pkill -CONT -f '[/]usr/bin/patroni'");
  await sleep(3000);
  await p.on("db-2").run("s6-svc -wd -T 20000 -d /etc/hastack/services/patroni; sleep 1");
  await ask(p, names, "standby stopped");
  await p.on("db-2").run("s6-svc -u /etc/hastack/services/patroni");
  await p.whole();
  await p.on("etcd-1").run("pkill -STOP -x etcd");
  await sleep(28000);
  await ask(p, names, "no etcd");
  await p.remove();
}
if (what === "lb") {
  const p = await LoadBalancerPair.start();
  const names = ["lb-1", "lb-2"];
  await sleep(3000);
  await ask(p, names, "well");
  await p.on("lb-1").run("pkill -STOP -x haproxy");
  await sleep(300);
  await ask(p, names, "haproxy hangs");
  await sleep(6000);
  await ask(p, names, "haproxy hangs, later");
  await p.on("lb-1").run("pkill -CONT -x haproxy");
  await sleep(4000);
  for (const n of names) await p.on(n).run("s6-svc -wd -d /etc/hastack/services/keepalived");
  await sleep(500);
  await ask(p, names, "nobody");
  await p.remove();
}
if (what === "live") {
  const { lookAt } = await import("./operate/status/status.ts");
  const { textOf } = await import("./operate/status/report.ts");
  const { runDocker } = await import("./infra/platform/docker/engine.ts");
  const p = await PatroniPair.start();
  const names = ["db-1", "db-2", "lb-1", "etcd-1"];
  const stack = { name: "look", ...p.stack } as any;
  try {
    await p.startQuorum("https");
    await p.placeAll();
    await p.whole();
    for (const n of names) await runDocker(["rename", p.on(n).name, `hastack-look-${n}`]);
    const look = async (label: string) => {
      const start = Date.now();
      const text = textOf(await lookAt(stack), false);
      console.log(`=== ${label}: ${(Date.now() - start) / 1000} s\n${text}`);
    };
    await sleep(8000);
    await look("well");
    await runDocker(["pause", "hastack-look-db-1"]);
    await sleep(500);
    await look("primary paused");
    await sleep(27000);
    await look("primary paused 28 s");
    await runDocker(["unpause", "hastack-look-db-1"]);
    await runDocker(["exec", "hastack-look-lb-1", "pkill", "-STOP", "-x", "haproxy"]);
    await sleep(500);
    await look("haproxy stopped");
    await sleep(8000);
    await look("haproxy stopped 8 s");
  } finally {
    for (const n of names) await runDocker(["rename", `hastack-look-${n}`, p.on(n).name]).catch(() => {});
    await p.remove();
  }
}
writeFileSync(`/tmp/look/${what}.json`, JSON.stringify(out, null, 1));
