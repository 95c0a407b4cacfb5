/** Who talks to whom: what components name, firewalls let in, and networks are made for. */

export type Network = "frontend" | "backend" | "management";

/** Leave to talk: who may connect to whom, where. */
export interface Flow {
  readonly from: string;
  readonly to: string;
  readonly network: Network;
  /** A port, several of them that follow each other, or keepalived's own protocol. */
  readonly port: number | { readonly from: number; readonly to: number } | "vrrp";
  /** @default tcp */
  readonly protocol?: "tcp" | "udp";
}
