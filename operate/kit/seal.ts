/** A kit's seal: the format of `age` (age-encryption.org) with a passphrase, which that program opens, too. */
import { Decrypter, Encrypter } from "age-encryption";

/** Of scrypt, as a power of two: a second here, and as much for each try of who guesses. */
const workFactor = 18;

const firstLine = "age-encryption.org/v1\n";
const sealLine = "-> scrypt ";

/** @param work of scrypt, as a power of two @default what takes a second */
export async function seal(
  content: Uint8Array,
  passphrase: string,
  work = workFactor,
): Promise<Buffer> {
  const encrypter = new Encrypter();
  encrypter.setPassphrase(passphrase);
  encrypter.setScryptWorkFactor(work);
  return Buffer.from(await encrypter.encrypt(content));
}

/**
 * @param file how errors name it
 * @throws where it is no sealed file, the passphrase is another one, or it is not as it was made
 */
export async function unseal(sealed: Buffer, passphrase: string, file: string): Promise<Buffer> {
  const begin = sealed.toString("latin1", 0, 100);
  if (!begin.startsWith(firstLine + sealLine))
    throw new Error(`${file} is no recovery kit: it is not a file that npm run kit has sealed`);
  const decrypter = new Decrypter();
  decrypter.addPassphrase(passphrase);
  try {
    return Buffer.from(await decrypter.decrypt(sealed));
  } catch (error) {
    const { message } = error as Error;
    if (/no identity matched/.test(message))
      throw new Error(
        `${file}: this is not the passphrase that it was sealed with, or its first lines are damaged`,
      );
    throw new Error(
      `${file} is damaged (${message}), and nothing of it can be trusted: take another copy of it`,
    );
  }
}
