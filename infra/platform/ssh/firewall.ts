/** What is asked of a machine's programs about its firewall, and the units that keep it loaded. */
import type { ManagedFile } from "../platform.ts";
import { filesRequest } from "../request.ts";

/** Seconds that a new connection has to confirm new rules; then those before come back. */
const backSeconds = 30;
/** Seconds that connections from before there were rules get to be known: something goes by them meanwhile. */
const settleSeconds = 15;

/** Before anything has an address, so that nothing is reached earlier; behind others' rules. */
const loadUnit = `[Unit]
Description=hastack: firewall
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target sysinit.target shutdown.target
After=nftables.service
Conflicts=shutdown.target
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /etc/hastack/firewall-guard load
ExecReload=/bin/sh /etc/hastack/firewall-guard load

[Install]
WantedBy=sysinit.target
`;

const guardUnit = `[Unit]
Description=hastack: sees that the firewall stays loaded
After=hastack-firewall.service
StartLimitIntervalSec=0

[Service]
ExecStart=/bin/sh /etc/hastack/firewall-guard guard
Restart=always
RestartSec=1
SyslogIdentifier=hastack-firewall
CapabilityBoundingSet=CAP_NET_ADMIN
ProtectSystem=strict
ReadWritePaths=/run
ProtectHome=yes
PrivateTmp=yes
NoNewPrivileges=yes
RestrictAddressFamilies=AF_UNIX AF_NETLINK
MemoryMax=64M

[Install]
WantedBy=multi-user.target
`;

const unitFiles: readonly ManagedFile[] = [
  { path: "hastack-firewall.service", content: loadUnit },
  { path: "hastack-firewall-guard.service", content: guardUnit },
];

export interface FirewallRequest {
  readonly rules: string;
  readonly files: ReturnType<typeof filesRequest>;
  readonly backSeconds: number;
  readonly settleSeconds: number;
  /** How often `up` found it open; only who closes it says that. */
  readonly mended?: number;
}

/** @param rules as `renderFirewall` writes them */
export function firewallRequest(rules: string, mended?: number): FirewallRequest {
  const files = filesRequest(unitFiles);
  return { rules, files, backSeconds, settleSeconds, ...(mended !== undefined && { mended }) };
}
