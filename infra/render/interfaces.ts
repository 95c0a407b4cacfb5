/** Shell function `name_of ADDRESS`: the interface that has it. Names are known on the machine only. */
export const nameOfInterface = `name_of() {
  ip -oneline -4 address show | awk -v wanted="$1" '{ split($4, part, "/"); if (part[1] == wanted) { print $2; exit } }'
}`;
