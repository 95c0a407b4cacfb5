// npm run NAME: node scripts/run.mjs NAME [arguments]
import { start } from "./bootstrap.mjs";

const [name = "", ...args] = process.argv.slice(2);
await start(name, args);
