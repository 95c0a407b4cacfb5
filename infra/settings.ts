/**
 * The configuration, validated once into one frozen object. Every setting of hastack, its unit, its
 * default and a sentence about it are in this file; docs/settings.md and the editor's schema are
 * made from it (`npm run docs`). `Pulumi.<stack>.yaml` gives the values that differ.
 */
import { RunError } from "@pulumi/pulumi";
import { z } from "zod";
import { addressPlan } from "./addresses.ts";
import { isStep } from "./generations.ts";
import { type GeneratedRole, generatedRoles, roleTable } from "./roles.ts";
import { movedTo } from "./rules/moved.ts";
import { platformProblems } from "./rules/platforms.ts";
import { formatProblem, type Problem } from "./rules/problem.ts";
import { didYouMean } from "./rules/spelling.ts";
import { parseValues } from "./schema.ts";

const cidr = z.cidrv4("must be an IPv4 subnet such as 172.28.10.0/24");
const ipv4 = z.ipv4("must be an IPv4 address such as 172.28.10.100");
/** Links are made by writing a path behind it. */
const isOrigin = (text: string) =>
  /^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text;
/** What a machine is reached by; the OpenSSH client must not take it for an option. */
const sshAddress = z
  .string()
  .regex(/^[A-Za-z0-9_:][\w.:%-]*$/, "must be a host's name or address, such as 192.0.2.11");
const userName = z.string().regex(/^\w[\w.@-]*$/, "must be a user's name, such as deploy");
const port = z.int().min(1, "must be a port, 1 to 65535").max(65535, "must be a port, 1 to 65535");
const seconds = z.number().positive("must be a number of seconds above 0");
const generations = z
  .array(z.int().min(1, "must be a number of 1 or more"))
  .min(1, "must name the generation in use")
  .max(2, "must name two generations at most, the one before and the one after")
  .refine(isStep, "must be one number, or two that follow each other");
const count = z.int().min(0, "must be a whole number, 0 or more");
const milliseconds = z.int().min(50, "must be 50 milliseconds or more");
const absolutePath = z
  .string()
  .regex(/^(\/[\w.@+-]+)+$/, "must be an absolute path such as /srv/hastack");

/** Options of a mount that decide what an application is promised, or what a file there may do. */
const keptMountOptions =
  /^(vers|nfsvers|minorversion|proto|hard|soft|softerr|timeo|retrans|retry|ac|noac|actimeo|ac(reg|dir)(min|max)|lookupcache|local_lock|no?lock|(no)?(suid|dev|exec)|r[ow]|remount|bg|fg)(=|$)/;
/** Time limits and shares of the load balancers. */
const timeLimit = z.int().min(1, "must be 1 second or more").max(3600, "must be 3600 or less");
const most = z.int().min(1, "must be a whole number, 1 or more").max(1_000_000);
const checks = z.int().min(1, "must be 1 or more").max(20, "must be 20 or less");
const weight = "must be a whole number, 0 to 256";

/**
 * Parameters that have a setting of their own, or that would let PostgreSQL acknowledge what it may
 * lose, let others in, log the values that statements come with, or hide it from Patroni.
 */
const keptParameters: ReadonlySet<string> = new Set([
  "max_connections",
  "shared_buffers",
  "max_slot_wal_keep_size",
  "archive_timeout",
  "fsync",
  "full_page_writes",
  "synchronous_commit",
  "synchronous_standby_names",
  "password_encryption",
  "log_parameter_max_length",
  "log_parameter_max_length_on_error",
  "listen_addresses",
  "port",
  "unix_socket_directories",
  "hba_file",
  "ident_file",
  "config_file",
  "data_directory",
  "include",
  "include_dir",
  "include_if_exists",
]);

/** PostgreSQL takes names in any case. */
const isFreeParameter = (name: string): boolean =>
  /^[a-z_][\w.]*$/i.test(name) && !keptParameters.has(name.toLowerCase());

const network = (what: string) =>
  z.strictObject(
    {
      subnet: cidr.describe(`Subnet ${what}.`),
      vip: ipv4.describe("Virtual IP: it moves between the load balancers."),
    },
    "must give a subnet and a vip",
  );

/** How a machine is reached, as far as an inventory or the configuration says it. */
export const access = z.strictObject({
  address: sshAddress
    .optional()
    .meta({ description: "Name or address where SSH reaches it.", absent: "from the inventory" }),
  port: port.optional().meta({
    description: "Port of its SSH server.",
    absent: "what ~/.ssh/config says, or 22",
  }),
  user: userName.optional().meta({
    description: "Who logs in: root, or somebody with sudo and no password for it.",
    absent: "what ~/.ssh/config says, or your own name",
  }),
  hostKey: z.string().min(1).optional().meta({
    description: "Its SSH host key, as in /etc/ssh/ssh_host_ed25519_key.pub.",
    absent: "from the inventory",
  }),
});

/** A machine that is there already, reached over SSH. */
const machine = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,30}$/, "must be a name such as node-1")
    .describe("What the stack calls it; any name will do."),
  ...access.shape,
  frontend: ipv4.optional().meta({
    description: "Its address in the frontend network; only load balancers need one.",
    absent: "none",
  }),
  backend: ipv4.describe("Its address in the backend network."),
  management: ipv4.optional().meta({
    description:
      "Its address in the management network; every machine has one, where there is one.",
    absent: "none",
  }),
  roles: z
    .array(z.string())
    .min(1, "must name at least one role")
    .describe("Names of roles and of the application's tiers."),
});

const anyCidr = z.union(
  [z.cidrv4(), z.cidrv6()],
  "must be a subnet such as 192.0.2.0/24, or 192.0.2.7/32 for one address",
);

/** Something beside the stack that a machine's firewall lets in. */
const admitted = z.strictObject({
  what: z.string().min(1).max(100).describe("What it is, for whoever reads the rules."),
  port: port.optional().meta({ description: "Its port.", absent: "see `ports`" }),
  ports: z
    .string()
    .regex(/^\d{1,5}-\d{1,5}$/, "must be two ports such as 6000-6010")
    .optional()
    .meta({ description: "Its ports, the first and the last.", absent: "see `port`" }),
  protocol: z.enum(["tcp", "udp"]).default("tcp").describe("Its protocol."),
  from: z
    .union(
      [z.literal("everybody"), z.array(anyCidr).min(1)],
      'must be a list of subnets such as [192.0.2.0/24], or "everybody"',
    )
    .describe("Who may reach it: a list of subnets, or `everybody`."),
  network: z.enum(["frontend", "backend", "management"]).optional().meta({
    description: "By the machines' addresses in this network alone.",
    absent: "by each of their addresses",
  }),
  machines: z.array(z.string()).min(1).optional().meta({
    description: "Names of the machines that it is on.",
    absent: "all of them",
  }),
});

/** Members of each role that the platform makes machines for. */
const memberCounts = Object.fromEntries(
  generatedRoles.map((role) => [
    role,
    count.default(roleTable[role].generated.members).describe(`Members of the role ${role}.`),
  ]),
) as Record<GeneratedRole, z.ZodDefault<z.ZodInt>>;

const tier = z.strictObject({
  instances: count.optional().meta({
    description: "Instances, where the platform makes the machines (docker).",
    absent: "as hastack.yaml says",
  }),
  firstHost: z.literal(addressPlan.firstHostOfTiers).optional().meta({
    description:
      "Last number of its first instance's address (docker): it keeps its addresses when tiers are added, removed or put in another order.",
    absent: "by its place in hastack.yaml, or the first that no other tier has",
  }),
  poolSize: z.int().min(1).optional().meta({
    description: "Connections of one instance to the primary, and as many to the replicas.",
    absent: "as hastack.yaml says",
  }),
  drainSeconds: z.int().min(1).max(300).optional().meta({
    description: "How long an instance that stops still serves, so that HAProxy sees it leave.",
    absent: "as hastack.yaml says",
  }),
  stopGraceSeconds: z.int().min(5).max(600).optional().meta({
    description: "How long an instance that stops may take in all; then it is killed.",
    absent: "as hastack.yaml says",
  }),
  memoryMegabytes: z.int().min(32, "must be 32 megabytes or more").optional().meta({
    description: "Memory that one instance may use.",
    absent: "as hastack.yaml says",
  }),
});

/** What becomes one value of a file, in JSON too. */
const oneWord = /^[!#-[\]-~]+$/;
const mustBeOneWord = "must be one word, without quotes and backslashes";
/** It becomes a part of an address: no blanks, quotes or query. */
const repositoryPath = z
  .string()
  .regex(/^(\/[\w.+-]+)+$/, "must be an absolute path such as /hastack");

/** Backups: how long they are kept, how often they are made, and where. */
const backup = z.strictObject({
  retentionDays: z
    .int()
    .min(1, "must be 1 or more")
    .max(3650, "must be 3650 or less")
    .default(14)
    .describe(
      "Days back to which the database and the shared files can be restored, at least: the full backup before that stays. Files that the application removes are kept for `fullEveryDays` and a day more.",
    ),
  fullEveryDays: z
    .int()
    .min(1, "must be 1 or more")
    .max(90, "must be 90 or less")
    .default(7)
    .describe("Days between two full backups of the database."),
  differentialEveryHours: z
    .int()
    .min(1, "must be 1 or more")
    .max(2160, "must be 2160 or less")
    .default(24)
    .describe("Hours between two backups of what has changed since the last full one."),
  backupAt: z
    .string()
    .regex(/^([01]\d|2[0-3]):[0-5]\d$/, "must be a time of day in UTC such as 02:30")
    .default("02:30")
    .describe("When backups of the database begin, a time of day in UTC."),
  archiveTimeoutSeconds: z
    .int()
    .min(10, "must be 10 or more: each switch is a file of its own")
    .max(3600, "must be 3600 or less")
    .default(60)
    .describe(
      "PostgreSQL's `archive_timeout`: how long its log may take to get into the repositories while little is written. What the machine has received can be restored before that.",
    ),
  filesEverySeconds: z
    .int()
    .min(60, "must be 60 or more")
    .max(86_400, "must be 86400 or less")
    .default(300)
    .describe("Seconds between two copies of the shared files."),
  spoolMegabytes: z
    .int()
    .min(256, "must be 256 or more: 16 segments of PostgreSQL's log")
    .max(1_000_000, "must be 1000000 or less")
    .default(2048)
    .describe(
      "PostgreSQL's log that the machine keeps while no repository takes it. Then it receives no more, and the primary keeps `database.maximumSlotLogMegabytes` for it.",
    ),
  drillEveryDays: z
    .int()
    .min(0, "must be 0 or more")
    .max(365, "must be 365 or less")
    .default(7)
    .describe("Days between two restores that try the backups; 0 is none."),
  local: z.boolean().default(true).describe("Whether there is a repository on the machine itself."),
  s3: z
    .strictObject({
      endpoint: z
        .string()
        .regex(
          /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?$/,
          "must be a host's name with or without a port, such as s3.example.net:9000",
        )
        .describe("The server's name, with its port where that is not 443; HTTPS alone."),
      region: z
        .string()
        .regex(/^[\w-]+$/, "must be a region's name such as eu-central-1")
        .default("us-east-1")
        .describe("Its region; servers of your own mostly take any."),
      bucket: z
        .string()
        .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, "must be a bucket's name such as backups")
        .describe("The bucket, which is there already."),
      prefix: repositoryPath
        .default("/hastack")
        .describe("Path in it, below which all objects of the stack are."),
      pathStyle: z
        .boolean()
        .default(false)
        .describe("Whether the bucket's name is in the path instead of in the server's name."),
      certificateAuthority: z.string().min(1).optional().meta({
        description:
          "Who vouches for the server's certificate, as PEM, where that is an authority of your own.",
        absent: "the authorities that Debian knows",
      }),
      keyId: z
        .string()
        .regex(oneWord, mustBeOneWord)
        .describe("Identifier of the access key; it needs `backupS3Secret` too."),
    })
    .optional()
    .meta({ description: "A repository at an S3 server.", absent: "none" }),
  sftp: z
    .strictObject({
      host: z
        .hostname("must be a host's name or address, such as backup.example")
        .describe("Name or address of the SFTP server."),
      port: port.default(22).describe("Its port."),
      user: userName.describe("Who logs in; it needs `backupSftpKey` too."),
      path: repositoryPath.describe("Directory there, which the user may write to."),
      hostKey: z
        .string()
        .min(1)
        .describe("The server's SSH host key, as in /etc/ssh/ssh_host_ed25519_key.pub."),
    })
    .optional()
    .meta({ description: "A repository at an SFTP server.", absent: "none" }),
});

export const settingsSchema = z.strictObject({
  platform: z
    .enum(["docker", "ssh"], "must be docker or ssh")
    .describe("Where the stack runs: the local Docker engine, or machines over SSH."),
  keepData: z
    .boolean()
    .default(true)
    .describe("Whether `destroy` leaves data volumes in place; a later `up` adopts them."),
  network: z
    .strictObject(
      {
        frontend: network("where visitors come in").describe("Where visitors come in."),
        backend: network("where the members talk to each other").describe(
          "Where the members talk to each other; it has no way out.",
        ),
        management: z
          .strictObject(
            { subnet: cidr.describe("Subnet of the management network.") },
            "must give a subnet",
          )
          .optional()
          .meta({
            description:
              "Where the machines are managed from: SSH is let in from there alone (ssh).",
            absent: "none; SSH is let in from everywhere",
          }),
      },
      "must give a subnet and a vip for frontend and for backend",
    )
    .describe(
      "The networks. Frontend and backend each have an address that moves between the load balancers.",
    ),
  members: z
    .strictObject(memberCounts)
    .prefault({})
    .describe("Members of each role, where the platform makes the machines (docker)."),
  machines: z.array(machine).min(1, "must list the machines and their roles").optional().meta({
    description:
      "The machines that are there already, and their roles (ssh). Members are counted in this order: add new machines at the end.",
    absent: "required on the platform ssh",
  }),
  absent: z
    .array(z.string())
    .default([])
    .describe(
      "Names of machines that are lost for now; on Docker each member is a machine. While one is named, `up` changes the others and leaves it alone, and the load balancers send it nothing. What it lacks is made up by the first `up` without its name.",
    ),
  ssh: z
    .strictObject({
      inventory: z.string().min(1).optional().meta({
        description:
          "Untracked YAML file with what differs from place to place: each machine's address and host key. It is below the project's folder, made by `npm run host-keys` or `npm run lab`, and goes before `machines`.",
        absent: "none",
      }),
      identityFile: z.string().min(1).optional().meta({
        description: "Private key file: absolute, `~/…`, or below the project's folder.",
        absent: "what ssh finds by itself: its agent, ~/.ssh/config, ~/.ssh/id_…",
      }),
    })
    .prefault({})
    .describe("How the machines are reached (ssh)."),
  application: z
    .strictObject({
      path: z
        .string()
        .min(1)
        .default("app")
        .describe("Folder with the application's hastack.yaml, relative to the project's folder."),
      settings: z
        .record(z.string(), z.unknown())
        .default({})
        .describe("The application's own settings; its hastack.yaml says which there are."),
    })
    .prefault({})
    .describe("The application that the stack serves."),
  applicationSecrets: z
    .record(z.string(), z.string().min(1))
    .default({})
    .describe(
      "The application's own secrets, as far as they are not generated: `npx pulumi config set --path --secret hastack:applicationSecrets.NAME`.",
    ),
  tiers: z
    .record(z.string(), tier)
    .default({})
    .describe("What this stack wants of the application's tiers, by their names."),
  certificate: z.string().min(1).optional().meta({
    description:
      "The site's certificate, its chain and its private key as PEM in one text; a secret. The site then answers by HTTPS, and plain HTTP leads there.",
    absent: "none, which needs `plainHttp`",
  }),
  certificates: z
    .strictObject({
      authorities: z
        .array(z.int().min(1, "must be a number of 1 or more"))
        .min(1, "must name the authority that issues certificates")
        .max(2, "must name two authorities at most, the one before and the one after")
        .refine((all) => new Set(all).size === all.length, "must name each authority once")
        .default([1])
        .describe(
          "Numbers of the stack's own authorities (CAs). The first issues certificates, all are trusted. Another one comes by four steps, each with its own `up`: `[1]`, `[1, 2]`, `[2, 1]`, `[2]`.",
        ),
      renewal: count
        .default(0)
        .describe(
          "Another number renews all certificates of members now; else `up` renews them when they end within 120 days.",
        ),
    })
    .prefault({})
    .describe("The certificates by which the stack's members know each other."),
  credentials: z
    .record(z.string(), generations)
    .default({})
    .describe(
      "Generations of the passwords and secrets that the stack makes, by name. The first is in use, all are taken. Another one comes in steps, each with its own `up`: `[1]`, `[1, 2]`, `[2, 1]`, `[2]`; `npm run rotate` takes them. What is not named has `[1]`.",
    ),
  plainHttp: z
    .boolean()
    .default(false)
    .describe("Whether the site may be served without a certificate, by plain HTTP."),
  publicUrl: z
    .string()
    .refine(isOrigin, "must be an address such as https://shop.example, without a path")
    .optional()
    .meta({
      description: "What links to the site begin with, in mails for example.",
      absent: "https:// (or http://, without a certificate) and the frontend's virtual IP",
    }),
  loadBalancer: z
    .strictObject({
      publishedPorts: z
        .array(port)
        .default([])
        .describe("Ports on 127.0.0.1 for the site, one per load balancer (docker)."),
      publishedStatsPorts: z
        .array(port)
        .default([])
        .describe("Ports on 127.0.0.1 for the statistics page, one per load balancer (docker)."),
      balance: z
        .string()
        .min(1)
        .default("roundrobin")
        .describe("HAProxy's `balance` for the instances of a tier."),
      maxConnections: z
        .int()
        .min(10)
        .max(100_000)
        .default(4000)
        .describe(
          "Connections that one HAProxy accepts at a time; it needs two open files for each.",
        ),
      reservedConnections: z.int().min(1).optional().meta({
        description:
          "Of these, places that the site leaves to the database's listeners, the ways outside and the statistics.",
        absent: "a tenth of `maxConnections`",
      }),
      threads: z.int().min(1).max(64).optional().meta({
        description:
          "Threads of each HAProxy that is a load balancer. One is cheapest where all members share a machine.",
        absent: "one per processor",
      }),
      maxConnectionsPerInstance: z
        .int()
        .min(1)
        .default(200)
        .describe(
          "Requests that one instance handles at a time, of those that change nothing and of the others each; more wait in HAProxy's queue.",
        ),
      weights: z
        .record(z.string(), z.int().min(0, weight).max(256, weight))
        .default({})
        .describe(
          'Shares of instances by their names, such as `"web-1": 50`: 0 to 256, where the others have 100; 0 gets no requests.',
        ),
      timeouts: z
        .strictObject({
          connectMilliseconds: milliseconds
            .default(500)
            .describe(
              "For a connection to an instance, or to a member of the database, which gets 200 at most.",
            ),
          clientSeconds: timeLimit
            .default(30)
            .describe("For a client that neither sends nor takes a byte."),
          requestSeconds: timeLimit
            .default(10)
            .describe(
              "For a request's headers; as long again for its body, or for as much of it as HAProxy's buffer takes (19 KB).",
            ),
          keepAliveSeconds: timeLimit
            .default(10)
            .describe("For a kept connection without a request."),
          queueSeconds: timeLimit
            .default(5)
            .describe("For a request that waits for a free place at an instance; then 503."),
        })
        .prefault({})
        .describe("Time limits."),
      perSource: z
        .strictObject({
          connections: most
            .default(1500)
            .describe("Connections to the site at a time; further ones are closed."),
          requestsPerTenSeconds: most
            .default(5000)
            .describe(
              "Number of requests in 10 s, further ones get 429; and of new connections in 10 s, further ones are closed.",
            ),
          loginsPerMinute: most
            .default(120)
            .describe(
              "Requests in a minute to what the application names as its logins, a sixth of them in any 10 s; further ones get 429.",
            ),
          unlimited: z
            .array(cidr)
            .default([])
            .describe(
              "Subnets whose addresses have no such limits, such as a proxy of your own that many visitors come through. On Docker the gateway's address is always one: what comes by a published port has it.",
            ),
        })
        .prefault({})
        .describe("The most that one address may take of each load balancer."),
      operators: z
        .array(cidr)
        .default([])
        .describe("Subnets that may see the statistics, besides the frontend network."),
      databaseClients: z
        .array(cidr)
        .default([])
        .describe(
          "Subnets that may use the database's listeners, besides the tiers' machines. On machines `firewall.admit` has to let them in, too.",
        ),
      uploads: z
        .strictObject({
          perSource: most
            .default(4)
            .describe(
              "Requests with a long body (over 19 KB) that one address may have under way; further ones get 429.",
            ),
          perInstance: most
            .default(40)
            .describe("Such requests that one instance handles at a time, besides the others."),
          queueSeconds: timeLimit.default(20).describe("How long more of them wait; then 503."),
        })
        .prefault({})
        .describe("Requests with a body longer than HAProxy's buffer."),
      checkIntervalMilliseconds: milliseconds
        .default(500)
        .describe("Time between two health checks of a member."),
      checkFastIntervalMilliseconds: milliseconds
        .default(250)
        .describe("The same while a member changes state or is down."),
      fall: checks.default(2).describe("Checks that fail one after the other take a member out."),
      rise: checks.default(1).describe("Checks that succeed one after the other take it in again."),
      advertSeconds: seconds
        .default(0.2)
        .describe("Time between keepalived's adverts; the virtual IPs move after about four."),
      trackSeconds: seconds
        .default(0.25)
        .describe(
          "Time between keepalived's checks of HAProxy; two failures in a row move the virtual IPs, and one is no answer within 0.3 s.",
        ),
      drainSeconds: z
        .int()
        .min(1)
        .default(5)
        .describe("How long a load balancer that stops lets requests finish."),
      reloadDrainSeconds: z
        .int()
        .min(60)
        .default(90)
        .describe(
          "How long connections that a reload found open may go on. An application should renew its connections to the database every 60 s, so that none is cut.",
        ),
    })
    .prefault({})
    .describe("HAProxy and keepalived."),
  database: z
    .strictObject({
      maxConnections: z
        .int()
        .min(20)
        .default(100)
        .describe("PostgreSQL's `max_connections`; the pools of all instances must fit into it."),
      sharedBuffersMegabytes: z
        .int()
        .min(16)
        .default(128)
        .describe("PostgreSQL's `shared_buffers`; a machine needs four times as much memory."),
      parameters: z
        .record(
          z.string().refine(isFreeParameter, {
            error: "is kept by hastack for safety or has a setting of its own, leave it out",
          }),
          z.union([z.string(), z.number(), z.boolean()], "must be a text, a number, true or false"),
        )
        .default({})
        .describe("Further parameters of PostgreSQL, as in postgresql.conf."),
      ttlSeconds: z
        .int()
        .min(20, "must be 20 or more: Patroni refuses less")
        .default(20)
        .describe("Life of the primary's lease in etcd."),
      loopWaitSeconds: z.int().min(1).default(1).describe("Patroni's `loop_wait`."),
      retryTimeoutSeconds: z
        .int()
        .min(3, "must be 3 or more: Patroni refuses less")
        .default(3)
        .describe("Patroni's `retry_timeout`: how long it tries etcd and PostgreSQL again."),
      maximumLagOnFailoverBytes: z
        .int()
        .min(0)
        .default(1_048_576)
        .describe("A standby further behind the primary is not promoted."),
      maximumLagOnReadsBytes: z
        .int()
        .min(65_536, "must be 65536 or more: a standby is always a little behind")
        .default(1_048_576)
        .describe(
          "A standby further behind the primary gets no reads: they go to the primary until it has caught up.",
        ),
      // 17 minutes of a database that writes 1 MB of log a second; a machine boots in two
      maximumSlotLogMegabytes: z
        .int()
        .min(256, "must be 256 or more: PostgreSQL keeps half of that in any case")
        .default(1024)
        .describe(
          "PostgreSQL's log that the primary keeps for a standby which is away, `max_slot_wal_keep_size`. A standby that misses more is copied anew.",
        ),
    })
    .prefault({})
    .describe("PostgreSQL and Patroni."),
  cache: z
    .strictObject({
      megabytes: z
        .int()
        .min(8, "must be 8 megabytes or more")
        .default(64)
        .describe("Memory for what is kept; what expires next makes room."),
    })
    .prefault({})
    .describe("The Redis-protocol cache."),
  storage: z
    .strictObject({
      driver: z
        .enum(["glusterfs", "nfs"], "must be glusterfs or nfs")
        .default("glusterfs")
        .describe(
          "What the application's shared directories are kept with (ssh). `glusterfs`: every file on two machines, with the roles `brick` and `arbiter`. `nfs`: on one server, a machine with the role `nfs` or one that is there already. Files do not move by themselves when this changes.",
        ),
      reservePercent: z
        .int()
        .min(1, "must be 1 to 50")
        .max(50, "must be 1 to 50")
        .default(10)
        .describe(
          "How much of each brick's file system shared files leave free (glusterfs): a write that would take more finds no room. What a file system keeps for root counts in, 5 on ext4.",
        ),
      nfs: z
        .strictObject({
          server: z
            .hostname("must be a host's name or IPv4 address, such as nas.example")
            .describe("Its name or IPv4 address."),
          path: absolutePath.describe(
            "Directory that it exports to the machines, with room for a directory for each that the application shares.",
          ),
          options: z
            .array(
              z
                .string()
                .regex(/^[\w.:=@/-]+$/, "must be an option of mount.nfs such as nconnect=4")
                .refine((option) => !keptMountOptions.test(option), {
                  error: "is kept by hastack, leave it out",
                }),
            )
            .default([])
            .describe("Further options of the mount, as in nfs(5): `sec=krb5p`, `nconnect=4`."),
        })
        .optional()
        .meta({
          description: "An NFS server that is there already (ssh); it speaks NFS 4.2.",
          absent: "the machine with the role `nfs`, where the driver is `nfs`",
        }),
    })
    .prefault({})
    .describe("Where the application's shared files are kept, on machines."),
  smtp: z
    .strictObject({
      host: z
        .hostname("must be a host's name or address, such as mail.example")
        .describe("Name or address of the mail server."),
      port: port.default(587).describe("Its port."),
      secure: z
        .boolean()
        .default(false)
        .describe(
          "TLS from the start (port 465); otherwise STARTTLS, without which nothing is sent.",
        ),
      certificateAuthority: z.string().min(1).optional().meta({
        description:
          "Who vouches for the mail server's certificate, as PEM, where that is an authority of your own.",
        absent: "the authorities that the application knows",
      }),
      user: z
        .string()
        .min(1)
        .optional()
        .meta({ description: "Login; it needs `smtpPassword` too.", absent: "no login" }),
      from: z
        .email("must be a mail address such as shop@example.org")
        .describe("The address that mails come from."),
    })
    .optional()
    .meta({ description: "The mail server.", absent: "no mail is sent" }),
  smtpPassword: z.string().min(1).optional().meta({
    description:
      "Password at the mail server; a secret: `npx pulumi config set --secret hastack:smtpPassword`.",
    absent: "none",
  }),
  backup: backup
    .prefault({})
    .describe(
      "Backups of the database and of the shared files, by the machine with the role `backup`.",
    ),
  backupS3Secret: z.string().regex(oneWord, mustBeOneWord).optional().meta({
    description:
      "Secret access key of `backup.s3`; a secret: `npx pulumi config set --secret hastack:backupS3Secret`.",
    absent: "none",
  }),
  backupSftpKey: z.string().min(1).optional().meta({
    description:
      "Private key for `backup.sftp`, as PEM and without a passphrase; a secret: `npx pulumi config set --secret hastack:backupSftpKey < FILE`.",
    absent: "none",
  }),
  backupRepositoryKey: z
    .string()
    .min(20, "must be 20 characters long or more")
    .regex(oneWord, mustBeOneWord)
    .optional()
    .meta({
      description:
        "Passphrase that all repositories are encrypted with; a secret. Give the one of the recovery kit where the stack's state is lost: repositories cannot be read with another one.",
      absent: "made by the stack, and kept in its state",
    }),
  firewall: z
    .strictObject({
      admit: z
        .array(admitted)
        .default([])
        .describe("What the machines' owner runs besides, and who may reach it (ssh)."),
    })
    .prefault({})
    .describe("The machines' firewalls (ssh)."),
  gateTimeoutSeconds: z
    .int()
    .min(5)
    .default(120)
    .describe("How long a member may take to get healthy before `up` fails."),
});

/** Settings whose value no message may show. */
export const secretSettings: ReadonlySet<string> = new Set([
  "smtpPassword",
  "certificate",
  "applicationSecrets",
  "backupS3Secret",
  "backupSftpKey",
  "backupRepositoryKey",
]);

export type Settings = Readonly<z.output<typeof settingsSchema>> & { readonly stack: string };

/** Settings that are not valid: all problems at once, told without a stack trace. */
export class SettingsError extends RunError {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const lines = problems.map((problem) => `  ${formatProblem(problem)}`);
    super(`the configuration is not valid:\n${lines.join("\n")}`);
    this.name = "SettingsError";
    // Pulumi shows the stack of an error that comes after all resources were described
    this.stack = this.message;
    this.problems = problems;
  }
}

/**
 * Reads the configuration of a stack.
 * @param stack the stack's name
 * @param configuration Pulumi's configuration: full key (`hastack:platform`) to raw text
 * @throws SettingsError with every problem
 */
export function readSettings(
  stack: string,
  configuration: Readonly<Record<string, string>>,
): Settings {
  const values: Record<string, unknown> = {};
  for (const [key, raw] of Object.entries(configuration)) {
    if (!key.startsWith("hastack:")) continue;
    const name = key.slice("hastack:".length);
    values[name] = plainTexts.has(name) ? raw : parseValue(raw);
  }
  const { data, problems } = parseValues(settingsSchema, values, {
    documentedIn: "docs/settings.md",
    isSecret: ([name = ""]) => secretSettings.has(name),
    movedTo,
  });
  const all = [...namespaceProblems(configuration), ...problems, ...platformProblems(values)];
  if (data === undefined || all.length > 0) throw new SettingsError(all);
  return deepFreeze({ ...data, stack });
}

/** Keys that Pulumi would hand to nobody: their first part is nearly `hastack`. */
function namespaceProblems(configuration: Readonly<Record<string, string>>): Problem[] {
  return Object.keys(configuration).flatMap((key) => {
    const [namespace = "", name = ""] = key.split(":");
    const meant = didYouMean(namespace, ["hastack"], "");
    const fix = `did you mean hastack:${name}?`;
    return namespace === "hastack" || meant === ""
      ? []
      : [{ source: key, path: "", why: "is not a setting of hastack", fix }];
  });
}

/** Secrets that are one text: what looks like JSON in it is a part of the secret. */
const plainTexts: ReadonlySet<string> = new Set([
  "smtpPassword",
  "certificate",
  "backupS3Secret",
  "backupSftpKey",
  "backupRepositoryKey",
]);

/** Pulumi hands objects, arrays, booleans and numbers over as JSON, and strings bare. */
function parseValue(raw: string): unknown {
  try {
    return JSON.parse(raw);
  } catch {
    return raw;
  }
}

/** Nothing can change it later, however deep it lies. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    for (const inner of Object.values(value)) deepFreeze(inner);
    Object.freeze(value);
  }
  return value;
}
