/** Two things that are done side by side. */

/** When one fails, the other has ended too: what is left is taken away then. The first's failure is told. */
export async function both<A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([first, second]);
  return [await first, await second];
}
