/** Shell function `name_of ADDRESS`: the interface that has it. Names are known on the machine only. */
export const nameOfInterface = `name_of() {
  ip -oneline -4 address show | awk -v wanted="$1" '{ split($4, part, "/"); if (part[1] == wanted) { print $2; exit } }'
}`;

/**
 * Shell function `numbers_of ADDRESS…`: the numbers of the interfaces that have them, in one line; fails
 * where one is missing. An interface that is made anew, with the same name or not, has another number.
 */
export const numbersOfInterfaces = `numbers_of() {
  ip -oneline -4 address show | awk -v wanted="$*" '
    { split($4, part, "/"); number[part[1]] = $1 }
    END {
      for (at = 1; at <= split(wanted, each, " "); at++) {
        if (!(each[at] in number)) exit 1
        line = line " " number[each[at]]
      }
      print substr(line, 2)
    }'
}`;
