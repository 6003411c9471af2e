/**
 * What the SDK knows of a service and a function has no use for, written so that esbuild can leave it out: the schemas of
 * calls that nobody makes, which are half of S3's, and the classes of errors. Reads how the SDK's clients are generated;
 * where that changes nothing breaks, but bundles grow, and test/lambdas/bundles.test.ts says so.
 */

/** @param text a chunk, bundled and not minified */
export function withUnusedSchemas(text: string): string {
  return withoutErrorClasses(withPlainKeys(text));
}

/** Schemas are written as `{ [_hH]: _ct }` over constants, and esbuild keeps whatever has a computed key. */
function withPlainKeys(text: string): string {
  const constants = new Map<string, string>();
  for (const [, name = '', value = ''] of text.matchAll(/^var (_\w+) = ("[^"\\]*");$/gm)) constants.set(name, value);
  return text.replaceAll(/([{,]) \[(_\w+)\]: /g, (found, before: string, name: string) => {
    const value = constants.get(name);
    return value === undefined ? found : `${before} ${value}: `;
  });
}

/**
 * Every error of a service registers a class, which keeps the class. An error without one is thrown as the service's base
 * error with the same name, fault, fields and metadata, and Wharf tells errors by their names. Only what goes by another
 * name on the wire (of SQS, by its older protocol) has to be known.
 */
function withoutErrorClasses(text: string): string {
  return text.replaceAll(
    /^(var (\w+\$\w*) = \[[^;]*\];)\n\w+\.registerError\(\2, \w+\);$/gm,
    (found, schema: string) => (/"error": /.test(schema) && !/"awsQueryError": /.test(schema) ? schema : found),
  );
}
