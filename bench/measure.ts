import autocannon from "autocannon";

/** What is asked again and again. */
export interface Load {
  url: string;
  path: string;
  method?: "GET" | "POST";
  /** Made anew for each request. */
  headers?: () => Record<string, string>;
  body?: () => string;
}

/** What came of one run. */
export interface Measured {
  perSecond: number;
  /** Milliseconds. */
  p50: number;
  p95: number;
  p99: number;
}

/** Clients at once, each with one request under way. */
export const connections = 20;

/** Asks for some seconds. @throws Error for any answer that is no success */
export async function measure(load: Load, seconds: number): Promise<Measured> {
  const { url, path, method = "GET", headers = () => ({}), body } = load;
  const times: number[] = [];
  const options = {
    ...{ url, connections, duration: seconds },
    requests: [
      {
        ...{ path, method },
        setupRequest: (request: autocannon.Request) => {
          const made = body?.();
          return { ...request, headers: headers(), ...(made !== undefined && { body: made }) };
        },
      },
    ],
  };
  const { errors, non2xx, duration } = await new Promise<autocannon.Result>((resolve, reject) => {
    const run = autocannon(options, (error, result) => (error ? reject(error) : resolve(result)));
    run.on("response", (_client, _status, _bytes, milliseconds) => times.push(milliseconds));
  });
  if (errors + non2xx > 0)
    throw new Error(`${method} ${path}: ${errors} errors, ${non2xx} refusals`);
  times.sort((a, b) => a - b);
  const percentile = (part: number) => times[Math.floor((times.length - 1) * part)] ?? Number.NaN;
  return {
    perSecond: times.length / duration,
    ...{ p50: percentile(0.5), p95: percentile(0.95), p99: percentile(0.99) },
  };
}

/** The one in the middle. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** The middle of each number over several runs. */
export function middle(runs: readonly Measured[]): Measured {
  const of = (name: keyof Measured) => median(runs.map((run) => run[name]));
  return { perSecond: of("perSecond"), p50: of("p50"), p95: of("p95"), p99: of("p99") };
}
