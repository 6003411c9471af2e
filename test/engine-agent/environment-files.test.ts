/** environmentFiles: read from a folder as the ECS agent reads them from S3, seen from inside a container. */
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { folderObjects } from '../../lib/engine/agent/index.js';
import { payloadOf, script } from './agent-host.js';
import { AgentSuite, describeAgent } from './agent-suite.js';

describeAgent('environment files', () => {
  const suite = new AgentSuite((directory) => ({ objects: folderObjects(join(directory, 's3')) }));

  test('variables of environment files stand under those of the definition, and over the image’s', async () => {
    const bucket = join(suite.directory, 's3', 'bucket');
    await mkdir(join(bucket, 'a'), { recursive: true });
    await writeFile(join(bucket, 'a', 'one.env'), '# a comment\nFROM_IMAGE=no\r\nA=1\nC="q" # kept\n=x\nnone\n');
    await writeFile(join(bucket, 'two.env'), 'A=2\nD=two\nE=file\nEMPTY=');
    const environmentFiles = ['arn:aws:s3:::bucket/a/one.env', 'arn:aws:s3:::bucket/two.env'];
    const app = script('echo "$FROM_IMAGE|$A|$C|$D|$E|${EMPTY-unset}"', {
      environmentFiles,
      environment: ['E=own'],
    });
    await expect(suite.output(payloadOf({ app }))).resolves.toEqual(['no|1|"q" # kept|two|own|']);
  });

  test.each([
    ['arn:aws:s3:::bucket/absent.env', 'there is no such object'],
    ['arn:aws:s3:::bucket/../../records/data.env', 'there is no such object'],
    ['arn:aws:s3:::bucket/link.env', 'there is no such object'],
    ['arn:aws:s3:::bucket/large.env', 'it has 1048577 bytes'],
  ])('without the environment file %s the container does not start', async (arn, why) => {
    const bucket = join(suite.directory, 's3', 'bucket');
    await mkdir(bucket, { recursive: true });
    await rm(join(bucket, 'link.env'), { force: true });
    await symlink('/etc/passwd', join(bucket, 'link.env'));
    await writeFile(join(bucket, 'large.env'), 'A='.padEnd(1_048_577, 'x'));
    await expect(suite.failure(payloadOf({ app: script('true', { environmentFiles: [arn] }) }))).resolves.toContain(
      `ResourceInitializationError: failed to download env files: ${arn}: ${why}`,
    );
  });
});
