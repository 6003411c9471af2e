/**
 * How much memory each function is given unless its construct is told otherwise, MiB: docs/aws/functions.md says by which
 * figures. Lambda gives processor time by it.
 */
export const FUNCTION_MEMORY_MIB = {
  api: 1024,
  registry: 1024,
  reconciler: 512,
  builder: 1769,
  collector: 512,
  'image-resource': 512,
  'service-resource': 512,
} as const;

/** A file of `lambdas/`, without its ending. */
export type FunctionName = keyof typeof FUNCTION_MEMORY_MIB;
