/**
 * The addresses of a platform's bridge, each claimed by a file of its name that holds the container's id: whoever makes
 * the file has the address, in whatever process. The search goes on where the last one ended, so that an address that
 * was given back rests for a while.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AppError, errnoCode } from '../../errors/index.js';
import { namesNow, removeNow, textNow } from '../host/files-now.js';
import { ipv4Range, ipv4Text, type Subnet } from './subnet.js';

export class NetworkAddresses {
  private last = 0;

  constructor(
    /** In memory. */
    private readonly directory: string,
    private readonly subnet: Subnet,
  ) {}

  /** @throws AppError NETWORK_FULL */
  claim(id: string): string {
    mkdirSync(this.directory, { recursive: true, mode: 0o700 });
    const range = ipv4Range(this.subnet.cidr) ?? { first: 0, last: 0 };
    // Without the network's own address, the gateway's and the broadcast address.
    const [first, size] = [range.first + 2, range.last - range.first - 2];
    for (let tried = 0; tried < size; tried += 1) {
      const address = ipv4Text(first + (this.last % size));
      this.last += 1;
      if (this.take(address, id)) return address;
    }
    throw new AppError('NETWORK_FULL', `no free address in ${this.subnet.cidr}: ${size} containers have one`, {
      kind: 'unavailable',
      hint: 'stop containers, or run tasks with networkMode host or none',
    });
  }

  /** Every address of the container. Fine when it has none. */
  release(id: string): void {
    for (const address of namesNow(this.directory)) {
      if (textNow(join(this.directory, address)) === id) this.releaseAddress(address);
    }
  }

  /** Of a container whose address is known. */
  releaseAddress(address: string): void {
    removeNow(join(this.directory, address));
  }

  private take(address: string, id: string): boolean {
    try {
      writeFileSync(join(this.directory, address), id, { flag: 'wx', mode: 0o600 });
      return true;
    } catch (error) {
      if (errnoCode(error) === 'EEXIST') return false;
      throw error;
    }
  }
}
