/** Builders under comparison: each takes a folder and ends with the image pullable from a registry of its own. */
import type { Session } from '../session.js';

export interface BuildOrder {
  readonly context: string;
  /** Repository; every builder pushes it as `<name>:1`. */
  readonly name: string;
  /** Base images that must be there, by the name of their build argument. */
  readonly args?: Readonly<Record<string, string>>;
}

export interface BuildCost {
  readonly seconds: number;
  /** Peak resident bytes of what builds: the server, or daemon and client. */
  readonly peakBytes: number;
  /** Bytes the server read from files and sockets, where it is one process. */
  readonly readBytes?: number;
}

export interface Builder {
  readonly name: string;
  stop(): Promise<void>;
  /** Puts an OCI layout's image into the builder's registry and, where it has one, its local store. Gives its name for FROM. */
  addBase(layout: string, name: string): Promise<string>;
  /** From the command to the pushed image. */
  build(order: BuildOrder): Promise<BuildCost>;
  /** Pulls the image from the registry with skopeo. @throws Error when that fails */
  check(name: string): Promise<void>;
}

export interface BuilderKind {
  readonly name: string;
  /** Programs it needs, and the Debian packages they are in. */
  readonly needs: Readonly<Record<string, string>>;
  /** A running one that has built nothing yet. @param network whether RUN must reach the outside */
  start(session: Session, network: boolean): Promise<Builder>;
}
