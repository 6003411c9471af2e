/** BuildWorker in templates: whose image its tasks run, and that nothing waits for itself. */
import { describe, expect, test } from '@jest/globals';
import { Lazy } from 'aws-cdk-lib';
import type { Template } from 'aws-cdk-lib/assertions';
import { buildWorkerImage } from '../../lib/constructs/build-worker-image.js';
import { BuildWorker, DockerfileImage, ImageBuilder, ImageStore, Wharf } from '../../lib/constructs/index.js';
import { CloudFormationSchema, type TemplateResources } from './cloudformation-schema.js';
import { ofType, onlyOf, testStack } from './unbundled.js';

const BASE = 'build-worker-base:1';
const IMAGE = 'Custom::WharfDockerfileImage';

function imageSetting(template: Template): unknown {
  const settings = Object.values(ofType(template, 'AWS::Lambda::Function')).flatMap(({ Properties }) => {
    const { Environment } = Properties as { Environment?: { Variables: Record<string, unknown> } };
    return Environment?.Variables['WHARF_WORKER_IMAGE'] ?? [];
  });
  expect(settings).toHaveLength(1);
  return settings[0];
}

describe('the image of build workers', () => {
  test('is made by nobody unless it is asked for', () => {
    const { stack, template } = testStack();
    expect(new Wharf(stack, 'Wharf').workers.image).toBeUndefined();
    template().resourceCountIs(IMAGE, 0);
    expect(imageSetting(template())).toBe('build-worker:1');
  });

  test('is made over a base for the instances, and the builder is told where it lies, not what it is', () => {
    const { stack, template } = testStack({ nag: true });
    new Wharf(stack, 'Wharf', { workerBaseImage: BASE });
    // Synthesis refuses what goes round in a circle.
    const made = template();
    expect(onlyOf(made, IMAGE)).toMatchObject({ Platform: 'linux/arm64', Dockerfile: 'Dockerfile' });
    const repository = { Ref: expect.stringMatching(/^WharfWorkersImageRepository/) };
    expect(imageSetting(made)).toEqual({ 'Fn::Join': ['', ['cdk/', repository, ':*']] });
    expect(new CloudFormationSchema().problems(made.toJSON()['Resources'] as TemplateResources)).toEqual([]);
  });

  test('is the same for the same sources, and another one over another base', () => {
    const { stack } = testStack();
    const builder = new ImageBuilder(stack, 'Builder', { store: new ImageStore(stack, 'Store') });
    const hashes = [BASE, BASE, 'registry.example.org/team/base:2'].map((baseImage, index) => {
      const image = buildWorkerImage(stack, `Image${index}`, { builder, platform: 'linux/arm64', baseImage });
      return image.asset.assetHash;
    });
    expect(hashes[0]).toBe(hashes[1]);
    expect(hashes[0]).not.toBe(hashes[2]);
  });

  test('is there before an image with a RUN that depends on it', () => {
    const { stack, template } = testStack();
    const { builder, workers } = new Wharf(stack, 'Wharf', { workerBaseImage: BASE });
    const image = new DockerfileImage(stack, 'Image', { directory: 'examples/cdk-dockerfile-image/app', builder });
    if (workers.image !== undefined) image.resource.node.addDependency(workers.image.resource);
    const [dependent] = Object.entries(ofType(template(), IMAGE)).filter(([id]) => id.startsWith('Image'));
    expect(String(dependent?.[1]['DependsOn'])).toMatch(/WharfWorkersImage(?!Repository)/);
  });

  test('is not made beside one that is given, nor over a base without a name that synthesis knows', () => {
    const { stack } = testStack();
    const { store, builder, capacity, controlPlane } = new Wharf(stack, 'Wharf');
    const workers = (id: string, given: { image?: string; baseImage: string }) => (): BuildWorker =>
      new BuildWorker(stack, id, { store, builder, capacity, controlPlane, ...given });
    expect(workers('Both', { image: 'mine:1', baseImage: BASE })).toThrow(
      /image mine:1 .* baseImage .*: one of the two/,
    );
    for (const [index, baseImage] of ['', `${BASE}\nRUN true`, Lazy.string({ produce: () => BASE })].entries()) {
      expect(workers(`Nameless${index}`, { baseImage })).toThrow(/is a name as FROM takes it, known at synthesis/);
    }
  });
});
