/** The builder that Wharf is compared with. */
import type { BaseImageFile } from './base-images.js';
import type { Explanation } from './explained.js';
import type { BuildInput, BuiltImage } from './image-files.js';

export interface Peer {
  /** As reports name it. */
  readonly name: string;
  /** Whether it builds all of the language: then no listing by hand is needed. */
  readonly buildsAll: boolean;
  /** Cases that may be built at once. */
  readonly parallelism: number;
  /** Where the two may differ, and why. */
  readonly explained: readonly Explanation[];
  load(image: BaseImageFile): Promise<void>;
  /** @throws Error with the end of the build's output when it fails */
  build(input: BuildInput, folder: string): Promise<BuiltImage>;
  close(): Promise<void>;
}
