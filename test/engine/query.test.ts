/** The cluster query language and its patterns. */
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { EcsError } from '../../lib/engine/ecs-error.js';
import { evaluate } from '../../lib/engine/placement/evaluate.js';
import { compilePattern } from '../../lib/engine/placement/pattern.js';
import { parseQuery } from '../../lib/engine/placement/query.js';
import type { InstanceSnapshot } from '../../lib/engine/placement/snapshot.js';

const INSTANCE: InstanceSnapshot = {
  id: 'x',
  arn: 'arn:x',
  ec2InstanceId: 'i-abc',
  status: 'ACTIVE',
  agentConnected: true,
  agentVersion: '1.80.2',
  registeredAtMs: Date.UTC(2026, 5, 18, 22, 28, 28),
  attributes: new Map([
    ['ecs.instance-type', 't2.small'],
    ['ecs.availability-zone', 'us-east-1a'],
    ['rack', undefined],
    ['slots', '12'],
  ]),
  remaining: { cpu: 1, memoryMiB: 1, tcpPorts: [], udpPorts: [] },
  groups: new Map([
    ['service:web', 2],
    ['database', 1],
  ]),
  taskCount: 3,
  runningTasksCount: 3,
};

const holds = (text: string): boolean => evaluate(parseQuery(text), INSTANCE);

describe('the query language', () => {
  test.each([
    ['attribute:ecs.instance-type == t2.small', true],
    ['attribute:ecs.instance-type equals "t2.small"', true],
    ["attribute:ecs.instance-type != 't2.small'", false],
    ['attribute:ecs.instance-type =~ t2.*', true],
    ['attribute:ecs.instance-type !~ t2.*', false],
    ['attribute:ecs.instance-type matches g2.*', false],
    ['attribute:ecs.instance-type =~ t(2|3)\\.(small|large)', true],
    ['(attribute:ecs.instance-type =~ t2.*)', true],
    ['attribute:ecs.availability-zone in [us-east-1a, us-east-1b]', true],
    ['attribute:ecs.availability-zone !in ["us-east-1a"]', false],
    ['attribute:ecs.availability-zone not_in [us-west-2a]', true],
    ['attribute:rack exists', true],
    ['attribute:stack exists', false],
    ['attribute:stack !exists', true],
    ['attribute:stack not_exists', true],
    ['attribute:stack == x', false],
    ['attribute:slots > 9', true],
    ['attribute:slots less_than_equal 12', true],
    ['agentConnected == true', true],
    ['agentVersion >= 1.9.0', true],
    ['agentVersion < 1.80.10', true],
    ['ec2InstanceId in ["i-abc"]', true],
    ['registeredAt >= 2026-06-18', true],
    ['registeredAt > 2026-06-18T22:28:28+00:00', false],
    ['registeredAt < 2026-06-18T22:28:28.001Z', true],
    ['runningTasksCount > 2', true],
    ['task:group == service:web', true],
    ['not(task:group == database)', false],
    ['!(task:group == cache)', true],
    ['task:group != database', false],
    ['agentConnected == true and runningTasksCount < 1 or attribute:rack exists', true],
    ['agentConnected == true && (runningTasksCount < 1 || attribute:stack exists)', false],
    ['not not agentConnected == true', true],
  ])('%s is %s', (text, expected) => {
    expect(holds(text)).toBe(expected);
  });

  test.each([
    '',
    'attribute:x',
    'attribute:x ==',
    'weather == good',
    'attribute:x ~ y',
    '(attribute:x exists',
    'attribute:x exists)',
    'attribute:x in a, b',
    'attribute:x in [a, b',
    'attribute:x == "y',
    'attribute:x exists and',
    'attribute:x =~ (a',
    'attribute:x =~ a(?=b)',
    'attribute:x =~ (a)\\1',
    `${'('.repeat(1000)}attribute:x exists${')'.repeat(1000)}`,
  ])('refuses %s', (text) => {
    expect(() => parseQuery(text)).toThrow(EcsError);
  });

  test('answers any text with a query or an InvalidParameterException', () => {
    const words = [
      'attribute:a',
      '==',
      '!=',
      '=~',
      'in',
      '[',
      ']',
      '(',
      ')',
      ',',
      'not',
      'and',
      '||',
      '"',
      'x',
      '!',
      ' ',
    ];
    const text = fc.oneof(
      fc.string(),
      fc.array(fc.constantFrom(...words)).map((list) => list.join(' ')),
    );
    fc.assert(
      fc.property(text, (source) => {
        try {
          evaluate(parseQuery(source), INSTANCE);
        } catch (error) {
          expect(error).toMatchObject({ type: 'InvalidParameterException' });
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('a pattern', () => {
  test('agrees with JavaScript on whole values', () => {
    const atom = fc.constantFrom('a', 'b', '.', '[ab]', '[^a]', '\\w', '(a|b)', '(?:ab)', '[a-b]');
    const piece = fc.tuple(atom, fc.constantFrom('', '*', '+', '?', '{1,2}', '*?')).map((parts) => parts.join(''));
    const source = fc.array(fc.oneof(piece, fc.constant('|')), { maxLength: 5 }).map((parts) => parts.join(''));
    const value = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 6 }).map((chars) => chars.join(''));
    fc.assert(
      fc.property(source, value, (pattern, text) => {
        expect(compilePattern(pattern)(text)).toBe(new RegExp(`^(?:${pattern})$`).test(text));
      }),
      { numRuns: 2000 },
    );
  });

  test('that would take a backtracking matcher for ever is answered', () => {
    expect(compilePattern('(a+)+b')('a'.repeat(20_000))).toBe(false);
    expect(compilePattern('(a|aa)*c|(.*)*d')('a'.repeat(20_000))).toBe(false);
  });

  test('that would grow without bound is refused', () => {
    expect(() => compilePattern('((a{1000}){1000}){1000}')).toThrow(/too large/);
  });
});
