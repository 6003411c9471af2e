/** What is not to stand in a list of processes or in a shell's history comes by standard input. */
import type { CliDeps } from './deps.js';

/** All of it, without a line break at its end, as `docker login --password-stdin` reads it. */
export async function readSecretInput({ stdin = process.stdin }: Pick<CliDeps, 'stdin'>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stdin) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '');
}
