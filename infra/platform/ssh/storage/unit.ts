/** The unit that mounts a shared directory, as far as all drivers have it alike. */

/**
 * @param source where it is mounted from, as `programs/facts` tells it to the next preview
 * @param after a unit of the machine's that is started first, where it has it
 * @param service the lines of its section
 */
export function mountUnit({
  name,
  source,
  after,
  service,
}: Readonly<Record<"name" | "source" | "after" | "service", string>>): string {
  return `[Unit]
Description=hastack: ${name}, mounted from ${source}
Wants=network-online.target
After=network-online.target ${after}
StartLimitIntervalSec=0

[Service]
${service}

[Install]
WantedBy=multi-user.target
`;
}
