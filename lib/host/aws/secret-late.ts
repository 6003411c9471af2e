/** Secrets of the stack, whose client is loaded when the first is read. */
export async function readSecret(arn: string, region: string): Promise<string> {
  const secret = await import('./secret.js');
  return secret.readSecret(arn, region);
}
