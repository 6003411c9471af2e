/** The physical lines of a Dockerfile, handed out one by one, with BuildKit's limit on their length. */
import { DockerfileError, type SourcePlace } from '../errors.js';
import { trimLineEnd } from './white-space.js';

/** Bytes of UTF-8 in a line, without its line feed: Go's scanner takes no more. */
export const MAX_LINE_BYTES = 65_535;

export class SourceText {
  /** One-based number of the line read last; 0 before the first. */
  lineNumber = 0;
  private readonly text: string;
  private at = 0;
  private readonly starts: number[] = [];

  constructor(
    readonly fileName: string,
    text: string,
  ) {
    this.text = text.startsWith('\ufeff') ? text.slice(1) : text;
  }

  /** The next line with its line end; undefined at the end. @throws DockerfileError DOCKERFILE_LINE_TOO_LONG */
  next(): string | undefined {
    if (this.at >= this.text.length) return undefined;
    const lineFeed = this.text.indexOf('\n', this.at);
    const line = this.text.slice(this.at, lineFeed < 0 ? this.text.length : lineFeed + 1);
    this.starts.push(this.at);
    this.at += line.length;
    this.lineNumber++;
    const bytes = line.length > MAX_LINE_BYTES / 3 ? Buffer.byteLength(line) - (lineFeed < 0 ? 0 : 1) : 0;
    if (bytes > MAX_LINE_BYTES) {
      throw new DockerfileError(
        'DOCKERFILE_LINE_TOO_LONG',
        `the line has ${bytes} bytes, and at most ${MAX_LINE_BYTES} are allowed`,
        { file: this.fileName, line: this.lineNumber, column: 1, sourceLine: `${line.slice(0, 200)}...` },
        { hint: 'split the line with a continuation, or COPY the data from a file' },
      );
    }
    return line;
  }

  /** A line read before, without its line end. */
  line(number: number): string {
    const start = this.starts[number - 1];
    if (start === undefined) return '';
    return trimLineEnd(this.text.slice(start, this.starts[number] ?? this.at));
  }

  /** Lines read before, as they stand in the file. */
  lines(first: number, last: number): string {
    return trimLineEnd(this.text.slice(this.starts[first - 1] ?? 0, this.starts[last] ?? this.at));
  }

  /** The first line that has the text; 1 when none has. */
  findLine(text: string): number {
    for (let line = 1; line <= this.lineNumber; line++) if (this.line(line).includes(text)) return line;
    return 1;
  }

  place(line: number, column: number): SourcePlace {
    return { file: this.fileName, line, column, sourceLine: this.line(line) };
  }
}
