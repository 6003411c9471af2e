/** Bytes on their way into a part: gathered as chunks, cut off at an exact size, copied once. */
export class PartBuffer {
  private chunks: Uint8Array[] = [];
  private held = 0;

  get sizeBytes(): number {
    return this.held;
  }

  push(chunk: Uint8Array): void {
    this.chunks.push(chunk);
    this.held += chunk.length;
  }

  /** Takes the first bytes out, at most so many. */
  take(sizeBytes = this.held): Buffer {
    const all = Buffer.concat(this.chunks);
    const rest = all.subarray(sizeBytes);
    this.chunks = rest.length === 0 ? [] : [rest];
    this.held = rest.length;
    return all.subarray(0, sizeBytes);
  }
}
