/** An answer of S3 that is an error: status, code and, for the client's eyes, a sentence. */
export class S3Failure extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message = code,
  ) {
    super(message);
  }
}
