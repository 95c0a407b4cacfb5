/** The application's configuration file; its shape is the one that app/src/config.ts checks. */
import { publicUrlOf } from "../certificate.ts";
import { ports } from "../roles.ts";
import type { Settings } from "../settings.ts";
import type { Member, Topology } from "../topology.ts";
import { cacheUser } from "./cache.ts";
import { databaseName } from "./patroni.ts";

export type Tier = "storefront" | "admin";

export const tierPorts = { storefront: 3000, admin: 3001 } as const;

export const uploadsDirectory = "/var/lib/hastack/uploads";

/** File of one instance; `@{…}` are secrets. */
export function renderApplication(
  settings: Settings,
  topology: Topology,
  self: Member,
  tier: Tier,
): string {
  const { smtp, smtpPassword } = settings;
  const { vip } = topology.network.backend;
  const [cache] = topology.members.cache;
  return json({
    tier,
    instance: self.name,
    listen: { host: self.backend, port: tierPorts[tier] },
    database: {
      name: databaseName,
      user: tier,
      password: "@{database_password}",
      poolSize: settings.tiers[tier]?.poolSize ?? (tier === "admin" ? 5 : 10),
      writer: { host: vip, port: ports.primary },
      reader: { host: vip, port: ports.replicas },
    },
    uploadsDirectory,
    cookieSecret: "@{cookie_secret}",
    publicUrl: publicUrlOf(settings),
    ...(cache && {
      cache: {
        host: cache.backend,
        port: ports.cache,
        user: cacheUser,
        password: "@{cache_password}",
      },
    }),
    ...(smtp &&
      sendsMail(tier) && {
        smtp: {
          host: vip,
          port: ports.mail,
          secure: smtp.secure,
          servername: smtp.host,
          ...(smtp.user && { user: smtp.user }),
          ...(smtpPassword && { password: "@{smtp_password}" }),
          from: smtp.from,
        },
      }),
    trustedProxies: topology.members.loadBalancer.map((one) => one.backend),
    drainSeconds: settings.tiers[tier]?.drainSeconds ?? 3,
    stopGraceSeconds: settings.tiers[tier]?.stopGraceSeconds ?? 25,
    logLevel: settings.application.settings.logLevel ?? "info",
  });
}

/** Administrators hand links out themselves. */
export function sendsMail(tier: Tier): boolean {
  return tier === "storefront";
}

/** File of the migrations, which find the primary among the members by themselves. */
export function renderMigrations(settings: Settings, topology: Topology): string {
  return json({
    database: {
      name: databaseName,
      user: "migrator",
      password: "@{database_password}",
      hosts: topology.members.database.map((one) => ({ host: one.backend, port: ports.postgres })),
    },
    principals: { storefront: "storefront", admin: "admin" },
    adminPassword: "@{admin_password}",
    uploadsDirectory,
    sampleData: settings.application.settings.sampleData === true,
  });
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
