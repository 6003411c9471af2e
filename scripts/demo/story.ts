/** How the demo speaks: headings while it goes, checks that must hold, and a table of what each step took. */

interface Row {
  readonly step: string;
  readonly seconds: number;
  readonly bytes?: number;
}

export class Story {
  private readonly rows: Row[] = [];

  /** Tells what comes, does it, and notes the time; what it answers as bytes goes into the table. */
  async step<T>(title: string, work: () => Promise<T>, bytesOf?: (result: T) => number): Promise<T> {
    console.log(`\n== ${title}`);
    const startMs = performance.now();
    const result = await work();
    const seconds = (performance.now() - startMs) / 1000;
    this.rows.push({ step: title, seconds, ...(bytesOf === undefined ? {} : { bytes: bytesOf(result) }) });
    return result;
  }

  say(line: string): void {
    console.log(`   ${line}`);
  }

  /** Stops the demo when a promise does not hold. */
  check(claim: string, holds: boolean, otherwise = ''): void {
    if (!holds) throw new Error(`not so: ${claim}${otherwise === '' ? '' : ` (${otherwise})`}`);
    console.log(`   ok: ${claim}`);
  }

  table(): string {
    const width = Math.max(...this.rows.map((row) => row.step.length));
    const line = (step: string, time: string, bytes: string): string =>
      `${step.padEnd(width)}  ${time.padStart(8)}  ${bytes.padStart(10)}`;
    const total = this.rows.reduce((sum, row) => sum + row.seconds, 0);
    return [
      line('step', 'time', 'bytes'),
      line('-'.repeat(width), '-'.repeat(8), '-'.repeat(10)),
      ...this.rows.map((row) =>
        line(row.step, `${row.seconds.toFixed(2)} s`, row.bytes === undefined ? '' : String(row.bytes)),
      ),
      line('total', `${total.toFixed(2)} s`, ''),
    ].join('\n');
  }
}
