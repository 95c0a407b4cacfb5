/** Where a release lies packed on the operator's machine, on its way to the machines. */
import { projectDirectory } from "../../project.ts";

/** @param architecture in Node's words, `x64` or `arm64` */
export function releaseArchive(hash: string, architecture: string): string {
  return `${projectDirectory}.hastack/archives/${hash}-${architecture}.tar.gz`;
}
