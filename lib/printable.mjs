// What machines, programs and other operators say, for a terminal. Plain JavaScript, as the first phase of a
// command shows errors, too.

const commands = /(?![\t\n])[\p{Cc}\p{Bidi_Control}]/gu;

/**
 * The text without what a terminal would obey, or what turns the order of letters: that is told as its number.
 * @param {string} text
 * @returns {string}
 */
export function printable(text) {
  return text.replaceAll("\r\n", "\n").replaceAll(commands, (one) => {
    const number = one.charCodeAt(0).toString(16);
    return number.length > 2 ? `\\u${number}` : `\\x${number.padStart(2, "0")}`;
  });
}

/**
 * The same for all texts in a value, each cut where it is longer than anybody reads.
 * @template T
 * @param {T} value of JSON
 * @param {number} [most] characters of a text
 * @returns {T}
 */
export function allPrintable(value, most = 1000) {
  /** @type {(one: unknown) => unknown} */
  const plain = (one) => {
    if (typeof one === "string") {
      return printable(one.length > most ? `${one.slice(0, most)}…` : one);
    }
    if (Array.isArray(one)) return one.map(plain);
    if (typeof one !== "object" || one === null) return one;
    return Object.fromEntries(Object.entries(one).map(([key, inner]) => [key, plain(inner)]));
  };
  return /** @type {T} */ (plain(value));
}
