import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { createTransport, type Transporter } from "nodemailer";
import type { Logger } from "pino";

/** The mail server, and who the mails are from. */
export interface SmtpConfig {
  host: string;
  port: number;
  /** TLS from the start; otherwise STARTTLS, without which nothing is sent. */
  secure: boolean;
  /** Name or address in the server's certificate: `host` may only be the way to it. */
  servername: string;
  /** PEM of who vouches for the certificate. @default those that Node knows */
  certificateAuthority?: string | undefined;
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

type SmtpError = Error & { code?: string; responseCode?: number; command?: string };

/** How the server's certificate is checked. An address cannot be asked for in the handshake. */
function checking(servername: string) {
  return isIP(servername) === 0
    ? { servername }
    : {
        checkServerIdentity: (_host: string, certificate: PeerCertificate) =>
          checkServerIdentity(servername, certificate),
      };
}

/** What went wrong before anything of the mail was said; nothing where it went wrong later. */
function reasonOf({ code, command, message }: SmtpError): string | undefined {
  if (command === "STARTTLS" && code === "ETLS") {
    return "the mail server takes no STARTTLS, and without TLS nothing is sent";
  }
  return ["CONN", "EHLO", "STARTTLS"].includes(command ?? "") ? message : undefined;
}

/** Sends mail in the background, so that the response time does not tell whether one was sent. */
export class Mailer {
  readonly #transport: Transporter;
  readonly #from: string;
  readonly #log: Logger;
  readonly #sending = new Set<Promise<void>>();

  constructor(smtp: SmtpConfig, log: Logger) {
    const { host, port, secure, servername, certificateAuthority, user, password, from } = smtp;
    this.#transport = createTransport({
      // Neither the password nor a link that opens an account goes over the wire in the clear.
      ...{ host, port, secure, requireTLS: !secure },
      tls: { ...checking(servername), ...(certificateAuthority && { ca: certificateAuthority }) },
      ...(user && password && { auth: { user, pass: password } }),
      ...{ connectionTimeout: 5000, greetingTimeout: 5000, socketTimeout: 10_000 },
    });
    this.#from = from;
    this.#log = log;
  }

  send(mail: Mail): void {
    const sent = this.#transport
      .sendMail({ from: this.#from, ...mail })
      .then(() => this.#log.info("mail sent"))
      .catch((error: SmtpError) => {
        // Not the error itself: it may quote the mail, and a link in it opens an account.
        const { code, responseCode } = error;
        this.#log.error({ code, responseCode, reason: reasonOf(error) }, "mail could not be sent");
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
