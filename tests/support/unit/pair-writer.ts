/** A client of a pair that writes through the load balancer, and knows what was acknowledged to it. */
import { type PatroniPair, passwordOf } from "./patroni-pair.ts";

export interface Written {
  /** Longest time without a success, seconds. */
  readonly longest: number;
  /** Numbers of rows that were acknowledged, and are not there just once; empty where all are. */
  readonly lost: string;
}

/** Makes the table that such clients write to. */
export async function makeTable(pair: PatroniPair): Promise<void> {
  const table = "CREATE TABLE written (n int, text text); GRANT ALL ON written TO app_storefront";
  await pair.sql(await pair.primary(), table, "hastack");
}

/** Writes one transaction after the other, until it is stopped. */
export async function writeInto(pair: PatroniPair, name: string): Promise<() => Promise<Written>> {
  const client = pair.on("client");
  const server = `host=${pair.address("lb-1")} port=5000 user=app_storefront dbname=hastack connect_timeout=2`;
  await client.run(`touch /tmp/${name}
    { i=0; while [ -e /tmp/${name} ]; do
      i=$((i + 1))
      PGPASSWORD=${passwordOf("app_storefront")} timeout 10 psql -XqAt "${server}" -c "
        INSERT INTO written VALUES ($i, '${name}')" &&
        echo "$i $(date +%s.%N)" >> /tmp/${name}.acknowledged || sleep 0.2
    done; touch /tmp/${name}.ended; } > /tmp/${name}.log 2>&1 &`);
  return async () => {
    await client.run(`rm /tmp/${name}; until [ -e /tmp/${name}.ended ]; do sleep 0.1; done`);
    const lines = (await client.run(`cat /tmp/${name}.acknowledged`)).split("\n");
    const [numbers, times] = [0, 1].map((column) =>
      lines.map((line) => Number(line.split(" ")[column])),
    ) as [number[], number[]];
    const gaps = times.map((time, index) => time - (times[index - 1] ?? time));
    const lost = await pair.sql(
      await pair.primary(),
      `SELECT string_agg(number::text, ' ') FROM unnest(ARRAY[${numbers}]) number
       WHERE (SELECT count(*) FROM written WHERE n = number AND text = '${name}') <> 1`,
      "hastack",
    );
    return { longest: Math.max(...gaps), lost };
  };
}
