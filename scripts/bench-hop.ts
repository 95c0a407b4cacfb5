/** `npm run bench:hop` */
export { main } from "../bench/hop.ts";
