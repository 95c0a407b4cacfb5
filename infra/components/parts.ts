/** What components are given to build from. */
import type { Platform, Release, SharedDirectory } from "../platform/platform.ts";
import type { Settings } from "../settings.ts";
import type { Topology } from "../topology.ts";
import type { Credentials } from "./credentials.ts";

/** The plan, the place, and the passwords. */
export interface Parts {
  readonly settings: Settings;
  readonly topology: Topology;
  readonly platform: Platform;
  readonly credentials: Credentials;
}

/** What the application's parts need besides. */
export interface ApplicationParts extends Parts {
  /** The release that all instances run. */
  readonly release: Release;
  /** Where uploads and sample pictures lie. */
  readonly uploads: SharedDirectory;
}
