/** Which driver makes the shared directories. */
import type { Settings } from "../../../settings.ts";
import type { StorageDriver } from "./driver.ts";
import { glusterfs } from "./glusterfs/glusterfs.ts";
import { nfs } from "./nfs/nfs.ts";

type StorageSettings = Pick<Settings, "stack" | "storage" | "machines">;

const drivers: Readonly<
  Record<Settings["storage"]["driver"], (settings: StorageSettings) => StorageDriver>
> = {
  glusterfs: () => glusterfs,
  nfs,
};

export function storageDriver(settings: StorageSettings): StorageDriver {
  return drivers[settings.storage.driver](settings);
}
