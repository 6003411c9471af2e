/**
 * Bundled in the place of the SDK's event streams, by which S3 answers SELECT: no function asks for it. The client of S3
 * wants them there when it is made.
 */
export function resolveEventStreamSerdeConfig<Config>(config: Config): Config {
  return config;
}

export function eventStreamSerdeProvider(): undefined {
  return undefined;
}

/** What a call that answers by one would make an instance of. */
export function EventStreamSerde(): never {
  throw new Error('event streams are not bundled with functions: lib/constructs/function-bundle.ts');
}
