/** `npm run bench:app` */
export { main } from "../bench/app.ts";
