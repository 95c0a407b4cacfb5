/** What damages a stored file. */

/** Shell text that writes over four bytes of a file. @param from the first of them, a number or a shell's word */
export const spoil = (file: string, from: number | string): string =>
  `printf XXXX | dd of=${file} bs=1 seek=${from} conv=notrunc`;
