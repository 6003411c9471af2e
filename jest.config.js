// Tests run as ES modules: several dependencies have no CommonJS form.
/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  // Contexts of builds, not code.
  modulePathIgnorePatterns: ['<rootDir>/test/differential/cases/'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'es6' } },
    ],
  },
  // For a test that hangs. No test is about time, and a busy machine takes its time.
  testTimeout: 120_000,
  maxWorkers: 2,
  // ES modules of a finished test are never let go: without this a worker has 4 GB at the end.
  workerIdleMemoryLimit: '1500MB',
};
