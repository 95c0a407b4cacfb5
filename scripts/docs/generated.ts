/** A generated file, by its path in the project. */
export interface Generated {
  readonly path: string;
  readonly text: string;
}
