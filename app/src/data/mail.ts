import { createTransport, type Transporter } from "nodemailer";
import type { Logger } from "pino";

/** The mail server, and who the mails are from. */
export interface SmtpConfig {
  host: string;
  port: number;
  /** TLS from the start; otherwise STARTTLS where the server has it. */
  secure: boolean;
  /** Name in the server's certificate: `host` may only be the way to it. */
  servername: string;
  user?: string | undefined;
  password?: string | undefined;
  /** Address in `From`. */
  from: string;
}

export interface Mail {
  to: string;
  subject: string;
  text: string;
}

/** Sends mail in the background, so that the response time does not tell whether one was sent. */
export class Mailer {
  readonly #transport: Transporter;
  readonly #from: string;
  readonly #log: Logger;
  readonly #sending = new Set<Promise<void>>();

  constructor(smtp: SmtpConfig, log: Logger) {
    const { host, port, secure, servername, user, password, from } = smtp;
    this.#transport = createTransport({
      ...{ host, port, secure, tls: { servername } },
      // A password never goes over the wire in the clear.
      ...(user && password && { auth: { user, pass: password }, requireTLS: true }),
      ...{ connectionTimeout: 5000, greetingTimeout: 5000, socketTimeout: 10_000 },
    });
    this.#from = from;
    this.#log = log;
  }

  send(mail: Mail): void {
    const sent = this.#transport
      .sendMail({ from: this.#from, ...mail })
      .then(() => this.#log.info("mail sent"))
      .catch((error: Error & { code?: string; responseCode?: number }) => {
        // Not the error itself: it may quote the mail, and a link in it opens an account.
        const { code, responseCode } = error;
        this.#log.error({ code, responseCode }, "mail could not be sent");
      })
      .finally(() => this.#sending.delete(sent));
    this.#sending.add(sent);
  }

  /** Waits for what is on its way. */
  async close(): Promise<void> {
    await Promise.all(this.#sending);
    this.#transport.close();
  }
}
