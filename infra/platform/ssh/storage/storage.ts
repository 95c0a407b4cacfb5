/** Which driver makes the shared directories; GlusterFS is the one there is. */
import type { StorageDriver } from "./driver.ts";
import { glusterfs } from "./glusterfs/glusterfs.ts";

export const storageDriver: StorageDriver = glusterfs;
