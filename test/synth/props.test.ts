/** The props of the constructs, as the guide of CDK wants them: flat, read-only, and each optional one with its default said. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';

const FOLDER = 'lib/constructs';
const INTERFACE = /export interface (\w+(?:Props|Attributes|Options))[^{]*\{\n([\s\S]*?)\n\}/g;
const MEMBER = /(?:^|\n)((?: {2}\/\*\*[\s\S]*?\*\/\n)?) {2}(readonly )?(\w+)(\??): ([^\n]*)/g;

interface Prop {
  readonly name: string;
  readonly doc: string;
  readonly isReadonly: boolean;
  readonly isOptional: boolean;
  readonly type: string;
}

const PROPS: readonly Prop[] = readdirSync(FOLDER).flatMap((file) => {
  const text = readFileSync(join(FOLDER, file), 'utf8');
  return [...text.matchAll(INTERFACE)].flatMap(([, owner = '', body = '']) =>
    [...body.matchAll(MEMBER)].map(([, doc = '', isReadonly, name = '', optional, type = '']) => ({
      name: `${owner}.${name}`,
      doc,
      isReadonly: isReadonly !== undefined,
      isOptional: optional === '?',
      type,
    })),
  );
});

describe('the props of the constructs', () => {
  test('are found', () => {
    const names = PROPS.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['WharfProps.store', 'ServiceProps.count', 'EdgeAttributes.url']));
    expect(names.length).toBeGreaterThan(100);
  });

  test('are read-only', () => {
    expect(PROPS.filter(({ isReadonly }) => !isReadonly).map(({ name }) => name)).toEqual([]);
  });

  test('say what they mean when they are absent', () => {
    const silent = PROPS.filter(({ isOptional, doc }) => isOptional && !/@default \S/.test(doc));
    expect(silent.map(({ name }) => name)).toEqual([]);
  });

  test('are flat: an object in them is a construct, or a map of texts or constructs', () => {
    expect(
      PROPS.filter(({ type }) => /^\{(?! readonly \[\w+: string\]: (string|ISecret) \};)/.test(type)).map(
        ({ name }) => name,
      ),
    ).toEqual([]);
  });
});

test('cfnOverrides say by name what they reach, and reach just that', () => {
  const files = readdirSync(FOLDER).map((file) => readFileSync(join(FOLDER, file), 'utf8'));
  const owners = files.filter((text) => /readonly cfnOverrides\?/.test(text));
  expect(owners.length).toBeGreaterThanOrEqual(9);
  for (const text of owners) {
    const [, said = ''] = /\/\*\* For ([^.]*)\. @default - none \*\/\n {2}readonly cfnOverrides\?/.exec(text) ?? [];
    const [, taken = ''] = /overrideCfn\(\s*this,\s*\{([^}]*)\}/.exec(text) ?? [];
    const names = taken.split(',').map((part) => (/^\s*(\w+)/.exec(part) ?? [])[1]);
    const reached = new Set<string>(names.filter((name) => name !== undefined));
    const named = new Set([...said.matchAll(/`(\w+)`/g)].map(([, name = '']) => name));
    // What is spread is named by what it is made of: test/synth/everything.test.ts reaches each.
    const found = taken.includes('...') ? [...named].filter((name) => reached.has(name)) : [...named];
    expect(reached).toEqual(new Set(found));
  }
});
