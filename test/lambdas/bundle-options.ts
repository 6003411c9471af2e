/** How esbuild bundles a function, as lib/constructs/wharf-function.ts asks CDK to. */
import type { BuildOptions } from 'esbuild';
import { BUNDLE_ALIASES } from '../../lib/constructs/wharf-function.js';

export const BUNDLE_OPTIONS = {
  bundle: true,
  minify: true,
  platform: 'node',
  format: 'esm',
  target: 'node22',
  mainFields: ['module', 'main'],
  alias: BUNDLE_ALIASES,
  banner: { js: "import{createRequire as __cr}from'module';const require=__cr(import.meta.url);" },
  logLevel: 'silent',
} satisfies BuildOptions;
