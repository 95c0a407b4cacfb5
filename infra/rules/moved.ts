/** Settings of earlier releases that have another place now. */

/** Where a setting has gone that was there before, if it has. */
export function movedTo(path: string): string | undefined {
  for (const [before, now] of moves) {
    const match = before.exec(path);
    if (match) return now.replace("NAME", match[1] ?? "NAME");
  }
  return undefined;
}

const moves: readonly (readonly [RegExp, string])[] = [
  [/^(sampleData)$/, "application.settings.NAME"],
  [/^members\.([\w-]+)$/, "tiers.NAME.instances"],
  [/^application\.(logLevel)$/, "application.settings.NAME"],
  [/^application\.(\w+)PoolSize$/, "tiers.NAME.poolSize"],
  [/^application\.drainSeconds$/, "tiers.NAME.drainSeconds"],
  [/^application\.stopGraceSeconds$/, "tiers.NAME.stopGraceSeconds"],
];
