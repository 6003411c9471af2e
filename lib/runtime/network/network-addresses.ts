/**
 * The addresses of a platform's bridge, each claimed by a file of its name that holds the container's id: whoever makes
 * the file has the address, in whatever process. The search goes on where the last one ended, so that an address that
 * was given back rests for a while.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, errnoCode } from '../../errors/index.js';
import { ipv4Range, ipv4Text, type Subnet } from './subnet.js';

export class NetworkAddresses {
  private last = 0;

  constructor(
    private readonly directory: string,
    private readonly subnet: Subnet,
  ) {}

  /** @throws AppError NETWORK_FULL */
  async claim(id: string): Promise<string> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    const range = ipv4Range(this.subnet.cidr) ?? { first: 0, last: 0 };
    // Without the network's own address, the gateway's and the broadcast address.
    const [first, size] = [range.first + 2, range.last - range.first - 2];
    for (let tried = 0; tried < size; tried += 1) {
      const address = ipv4Text(first + (this.last % size));
      this.last += 1;
      if (await this.take(address, id)) return address;
    }
    throw new AppError('NETWORK_FULL', `no free address in ${this.subnet.cidr}: ${size} containers have one`, {
      kind: 'unavailable',
      hint: 'stop containers, or run tasks with networkMode host or none',
    });
  }

  /** Every address of the container. Fine when it has none. */
  async release(id: string): Promise<void> {
    for (const address of await readdir(this.directory).catch(() => [] as string[])) {
      const file = join(this.directory, address);
      if ((await readFile(file, 'utf8').catch(() => '')) === id) await rm(file, { force: true });
    }
  }

  /** Of a container whose address is known. */
  async releaseAddress(address: string): Promise<void> {
    await rm(join(this.directory, address), { force: true });
  }

  private async take(address: string, id: string): Promise<boolean> {
    try {
      await writeFile(join(this.directory, address), id, { flag: 'wx', mode: 0o600 });
      return true;
    } catch (error) {
      if (errnoCode(error) === 'EEXIST') return false;
      throw error;
    }
  }
}
