import type * as pulumi from "@pulumi/pulumi";

/**
 * Whether a resource's id is known. A preview knows the ids of resources that the state has and that are
 * not replaced; outside of a preview all are known in the end. Pulumi's types do not tell of isKnown.
 */
export function isKnown({ id }: pulumi.CustomResource): Promise<boolean> {
  return (id as unknown as { readonly isKnown: Promise<boolean> }).isKnown;
}
