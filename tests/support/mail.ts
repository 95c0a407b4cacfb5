/** A mail server that takes everything by STARTTLS: as much of SMTP as shows what the site sends. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createSecureContext, type SecureContext, TLSSocket } from "node:tls";
import type { Made } from "./certificates.ts";

export class MailServer {
  /** Every mail as it came, lines that were broken in transport put together again. */
  readonly mails: string[] = [];
  readonly #server: Server;
  readonly #secure: SecureContext;

  private constructor({ certificate, key }: Made) {
    this.#secure = createSecureContext({ cert: certificate, key });
    this.#server = createServer((socket) => {
      socket.on("error", () => {});
      socket.write("220 tests\r\n");
      this.#serve(socket, false);
    });
  }

  /** Listens on every address of this machine. @param own what it shows to its clients */
  static async start(own: Made): Promise<MailServer> {
    const mail = new MailServer(own);
    mail.#server.listen(0);
    await once(mail.#server, "listening");
    return mail;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
  }

  #serve(socket: Socket, isSecured: boolean): void {
    let text = "";
    let inData = false;
    const onData = (chunk: Buffer) => {
      text += chunk;
      for (;;) {
        const end = inData ? "\r\n.\r\n" : "\r\n";
        const at = text.indexOf(end);
        if (at < 0) return;
        const part = text.slice(0, at);
        text = text.slice(at + end.length);
        if (!inData && !isSecured && /^STARTTLS/i.test(part)) {
          socket.off("data", onData);
          socket.write("220 go on\r\n");
          return this.#secureAndServe(socket);
        }
        if (inData) this.mails.push(part.replaceAll("=\r\n", "").replaceAll("=3D", "="));
        const starts = !inData && isSecured && part.toUpperCase() === "DATA";
        socket.write(inData ? "250 ok\r\n" : starts ? "354 go on\r\n" : answer(part, isSecured));
        inData = starts;
      }
    };
    socket.on("data", onData);
  }

  #secureAndServe(socket: Socket): void {
    const secured = new TLSSocket(socket, { isServer: true, secureContext: this.#secure });
    secured.on("error", () => {});
    this.#serve(secured, true);
  }
}

/** To anything but DATA and STARTTLS: nothing of a mail is taken in the clear. */
function answer(command: string, isSecured: boolean): string {
  if (/^EHLO/i.test(command)) return isSecured ? "250 ok\r\n" : "250-ok\r\n250 STARTTLS\r\n";
  if (/^QUIT/i.test(command)) return "221 bye\r\n";
  return isSecured ? "250 ok\r\n" : "530 STARTTLS first\r\n";
}
