/**
 * Whose the things are that a stack of this name has already. A second checkout, or one whose state was
 * lost, would take them for its own: with other passwords, and without knowing what was done to them.
 */
import * as pulumi from "@pulumi/pulumi";
import { isKnown } from "../known.ts";
import type { Problem } from "../rules/problem.ts";
import { SettingsError } from "../settings.ts";

/** Refuses a preview in which the state knows none of the stack's things, though there are some. */
export class Ownership {
  readonly #known: Promise<boolean>[] = [];

  /** @param problem what to say of things that are there @default there are none */
  constructor(problem?: Problem) {
    // Once the program has described all resources
    if (problem && pulumi.runtime.isDryRun()) setImmediate(() => this.check(problem));
  }

  /** @param resource that stands for the stack: the state has it, or the stack is a new one */
  watch(resource: pulumi.CustomResource): void {
    this.#known.push(isKnown(resource));
  }

  /** @throws SettingsError where none of the resources is known */
  async check(problem: Problem): Promise<void> {
    const known = await Promise.all(this.#known);
    if (!known.includes(true)) throw new SettingsError([problem]);
  }
}
