import { Client } from "./visitor.ts";

/** The password that the tests' migrations give to the administrator `admin`. */
export const adminPassword = "password-of-the-admin";

/** The value of `Authorization` for a name and a password. */
export function basicAuth(password: string, name = "admin"): string {
  return `Basic ${Buffer.from(`${name}:${password}`).toString("base64")}`;
}

/** What scripts send with every change. */
export const asAdmin = { Authorization: basicAuth(adminPassword) };

/** Logs the administrator in, as a browser does. */
export async function adminClient(url: string, password = adminPassword): Promise<Client> {
  const client = new Client(url);
  const answer = await client.form("/admin/login", { name: "admin", password });
  if (answer.status !== 303) throw new Error(`cannot log in: ${answer.status}`);
  return client;
}
