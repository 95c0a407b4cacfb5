/** A mail server that takes everything: as much of SMTP as shows what the site sends. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

export class MailServer {
  /** Every mail as it came, lines that were broken in transport put together again. */
  readonly mails: string[] = [];
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((socket) => this.#serve(socket));
  }

  /** Listens on every address of this machine. */
  static async start(): Promise<MailServer> {
    const mail = new MailServer();
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

  #serve(socket: Socket): void {
    let text = "";
    let inData = false;
    socket.on("error", () => {});
    socket.write("220 tests\r\n");
    socket.on("data", (chunk) => {
      text += chunk;
      for (;;) {
        const end = inData ? "\r\n.\r\n" : "\r\n";
        const at = text.indexOf(end);
        if (at < 0) return;
        const part = text.slice(0, at);
        text = text.slice(at + end.length);
        if (inData) this.mails.push(part.replaceAll("=\r\n", "").replaceAll("=3D", "="));
        const starts = !inData && part.toUpperCase() === "DATA";
        inData = starts;
        socket.write(starts ? "354 go on\r\n" : /^QUIT/i.test(part) ? "221 bye\r\n" : "250 ok\r\n");
      }
    });
  }
}
