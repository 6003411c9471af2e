/** Stacks synthesised in the test's own process, functions unbundled: for what templates say, not for what functions do. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from '@jest/globals';
import { App, type Environment, Stack, Validations } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { AwsSolutionsChecks } from 'cdk-nag';

const made: string[] = [];
afterAll(() => made.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

export interface TestStack {
  readonly app: App;
  readonly stack: Stack;
  /** Synthesises. @throws Error with what cdk-nag AwsSolutions found, where it was asked for */
  readonly template: (of?: Stack) => Template;
}

export interface TestStackOptions {
  readonly name?: string;
  /** Where nothing but Wharf's constructs is in the stack. @default false */
  readonly nag?: boolean;
  readonly env?: Environment;
  /** As `cdk.json` gives it. @default - none */
  readonly context?: Readonly<Record<string, unknown>>;
}

export function testStack(options: TestStackOptions = {}): TestStack {
  const { name = 'Test', nag = false, env, context = {} } = options;
  // Only now: where every test of a file is left out, nothing would take it away again.
  const outdir = mkdtempSync(join(tmpdir(), 'wharf-unbundled-'));
  made.push(outdir);
  const app = new App({ outdir, context: { ...context, 'aws:cdk:bundling-stacks': [] } });
  if (nag) Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  const stack = new Stack(app, name, env === undefined ? {} : { env });
  return { app, stack, template: (of = stack) => Template.fromStack(of) };
}

/** The resources of a type, by logical id. */
export function ofType(template: Template, type: string): Readonly<Record<string, Record<string, unknown>>> {
  return template.findResources(type) as Record<string, Record<string, unknown>>;
}

/** The properties of the one resource of a type. @throws Error when there are more or none */
export function onlyOf(template: Template, type: string): unknown {
  const found = Object.values(ofType(template, type));
  const [one] = found;
  if (one === undefined || found.length > 1) throw new Error(`${found.length} resources ${type}`);
  return one['Properties'];
}
