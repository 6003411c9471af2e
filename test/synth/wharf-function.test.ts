/** What every function is given: memory by the table, and concurrency only where it is asked for. */
import { describe, expect, test } from '@jest/globals';
import { ImageCollector, ImageStore, Wharf } from '../../lib/constructs/index.js';
import { FUNCTION_MEMORY_MIB } from '../../lib/constructs/function-memory.js';
import { ofType, testStack } from './unbundled.js';

interface FunctionProperties {
  readonly Handler?: string;
  readonly MemorySize?: number;
}

describe('the functions of a platform', () => {
  const { stack, template } = testStack();
  const { builder, collector, controlPlane } = new Wharf(stack, 'Wharf');
  const { api, registry, reconciler } = controlPlane;
  const functions = { api, registry, reconciler, builder: builder.function, collector: collector.function };
  const made = ofType(template(), 'AWS::Lambda::Function');
  const logicalId = (name: keyof typeof functions): string =>
    (stack.resolve(functions[name].function.functionArn) as { 'Fn::GetAtt': [string, string] })['Fn::GetAtt'][0];
  const propertiesOf = (name: keyof typeof functions): FunctionProperties =>
    (made[logicalId(name)]?.['Properties'] ?? {}) as FunctionProperties;

  test.each(Object.keys(functions) as (keyof typeof functions)[])('%s has the memory of the table', (name) => {
    expect(propertiesOf(name)).toMatchObject({ Handler: 'index.handler', MemorySize: FUNCTION_MEMORY_MIB[name] });
  });

  test('reserve nothing, so that an account with a quota of ten takes them', () => {
    const reserving = Object.values(made).filter(({ Properties }) =>
      Object.keys(Properties as object).includes('ReservedConcurrentExecutions'),
    );
    expect(reserving).toEqual([]);
  });
});

test('a collector reserves what it is told to', () => {
  const { stack, template } = testStack();
  new ImageCollector(stack, 'Collector', { store: new ImageStore(stack, 'Store'), reservedConcurrency: 1 });
  template().hasResourceProperties('AWS::Lambda::Function', { ReservedConcurrentExecutions: 1 });
});
