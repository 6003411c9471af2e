/** What a function finds out about its machine when it was deployed. */
import { describe, expect, test } from '@jest/globals';
import { SANDBOX_TRIALS } from '../../lib/build/index.js';
import type { Cloud } from './cloud.js';
import { clientOf } from './builds.js';

interface SdkCall {
  readonly service: string;
  readonly action: string;
  readonly parameters: { readonly InvocationType: string; readonly FunctionName: string; readonly Payload: string };
  readonly ignoreErrorCodesMatching: string;
}

/** What the template has the function of CDK ask of Lambda. */
function callOf(cloud: Cloud): SdkCall {
  const [probe] = cloud.templates.ofType('Custom::WharfSandboxProbe');
  return JSON.parse(String(probe?.properties['Create'])) as SdkCall;
}

export function sandboxProbeSuite(cloud: () => Cloud): void {
  describe('the probe of the machine of a function', () => {
    test('is asked for by the template, by a call that waits for nothing and may fail', () => {
      const { service, action, parameters, ignoreErrorCodesMatching } = callOf(cloud());
      expect([service, action, parameters.InvocationType]).toEqual(['lambda', 'invoke', 'Event']);
      expect(new RegExp(ignoreErrorCodesMatching).test('AccessDeniedException')).toBe(true);
      // Deployed anew, it is tried anew.
      expect(parameters.Payload).toMatch(/[0-9a-f]{64}\.zip, 1769 MiB, 4096 MiB of \/tmp/);
    });

    test('tries each thing that a sandbox for RUN is made of, and the API shows what came of it', async () => {
      await cloud()
        .fn('builder')
        .invoke(JSON.parse(callOf(cloud()).parameters.Payload));
      const [report, ...others] = await clientOf(cloud()).sandboxes();
      expect(others).toEqual([]);
      expect(report).toMatchObject({
        name: 'builder',
        node: process.version,
        architecture: process.arch,
        memoryMiB: 1769,
        // Lambda's user, and the size of /tmp in the template.
        user: 993,
        scratchMiB: 4096,
      });
      expect(Object.keys(report?.trials ?? {}).sort()).toEqual([...SANDBOX_TRIALS].sort());
      // Without root nobody mounts, on any machine.
      expect(report?.trials).toMatchObject({ mount: 'EPERM', overlay: 'EPERM', chroot: 'EPERM' });
    });
  });
}
