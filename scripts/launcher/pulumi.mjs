#!/usr/bin/env node
// npx pulumi: sets what is not set, then becomes the real CLI. See ../pulumi.ts.
import { start } from "../bootstrap.mjs";

await start("pulumi", process.argv.slice(2));
