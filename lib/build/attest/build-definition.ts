/**
 * The steps of a build as a graph of BuildKit's operations (solver/pb/ops.proto), and beside it the Dockerfile, which of
 * its lines made which operation, and the layers that came of them: what `mode=max` adds to provenance. The form is
 * BuildKit's; the operations are what the plan says, and were carried out by this builder.
 */
import type { Descriptor } from '../../oci/index.js';
import { stageOf } from '../keys/step-keys.js';
import type { Plan, StagePlan } from '../plan/plan.js';
import type { BaseImage, Layer, SourceRef, StageBase, Step } from '../plan/steps.js';
import type { BuildRequest } from '../types.js';
import { remoteContexts } from './dependencies.js';
import { copyOperation, runOperation, workdirOperation } from './operations.js';
import { imageSource, localSource, type Operation, remoteSource } from './source-operations.js';

export interface DefinitionInput {
  readonly plan: Plan;
  readonly request: BuildRequest;
  readonly dockerfile: { readonly name: string; readonly text: string };
  /** Of the finished image, from the bottom up. */
  readonly layers: readonly Layer[];
  readonly baseLayers: number;
  /** Takes the values of secrets out of text. */
  readonly mask: (text: string) => string;
}

export interface BuildDefinition {
  readonly buildConfig: object;
  /** `buildkit_metadata` */
  readonly metadata: object;
}

export function buildDefinition(input: DefinitionInput): BuildDefinition {
  const graph = new Graph(input);
  return graph.definition();
}

/** `step3:0`: the first output of an operation; undefined for nothing at all. */
type Output = string | undefined;

class Graph {
  private readonly operations: object[] = [];
  private readonly sources = new Map<string, string>();
  private readonly stages = new Map<number, Output>();
  private readonly locations: Record<string, object> = {};
  /** What a stage had come to after a step, by the step's number. */
  private readonly outputs = new Map<number, string>();

  /** In base64 a secret would not be seen any more. */
  private readonly encode = (text: string): string => Buffer.from(this.input.mask(text)).toString('base64');

  constructor(private readonly input: DefinitionInput) {}

  definition(): BuildDefinition {
    const { plan, dockerfile } = this.input;
    const last = this.stage(plan.target);
    this.add({ Op: {} }, last === undefined ? [] : [last]);
    const info = { filename: dockerfile.name, language: 'Dockerfile', data: this.encode(dockerfile.text) };
    const layers = this.layers();
    return {
      buildConfig: { llbDefinition: this.operations },
      metadata: {
        source: { locations: this.locations, infos: [info] },
        ...(Object.keys(layers).length === 0 ? {} : { layers }),
      },
    };
  }

  private stage(stage: StagePlan): Output {
    if (this.stages.has(stage.index)) return this.stages.get(stage.index);
    let output = this.base(stage.base);
    for (const step of stage.steps) output = this.step(step, output);
    this.stages.set(stage.index, output);
    return output;
  }

  private base(base: StageBase): Output {
    if (base.kind === 'stage') return this.stage(stageOf(this.input.plan, base.stage));
    return base.kind === 'image' ? this.image(base.image) : undefined;
  }

  private step(step: Step, below: Output): string {
    const { op } = step;
    const inputs = new InputList();
    if (op.kind === 'workdir') return this.placed(step, workdirOperation(op, inputs.add(below)), inputs);
    if (op.kind === 'copy') {
      const target = op.link ? -1 : inputs.add(below);
      const copy = copyOperation(op, target, {
        source: (source) => inputs.add(this.source(source)),
        encode: this.encode,
      });
      const made = this.placed(step, copy, inputs);
      if (!op.link || below === undefined) return made;
      const merge = { inputs: [{ input: 0 }, { input: 1 }] };
      return this.remember(step, this.add({ Op: { merge } }, [below, made]));
    }
    const run = runOperation(step, op, inputs.add(below), {
      source: (source) => inputs.add(this.source(source)),
      script: (file) => inputs.add(this.add({ Op: file }, [])),
      encode: this.encode,
    });
    return this.placed(step, run, inputs);
  }

  private placed(step: Step, operation: Operation, inputs: InputList): string {
    const output = this.add(operation, inputs.outputs);
    const { line, original } = step.place;
    const end = line + original.split('\n').length - 1;
    const ranges = [{ start: { line }, end: { line: end } }];
    this.locations[output.replace(/:0$/, '')] = { locations: [{ ranges }] };
    return this.remember(step, output);
  }

  private remember(step: Step, output: string): string {
    this.outputs.set(step.number, output);
    return output;
  }

  private source(source: SourceRef): Output {
    if (source.from === 'stage') return this.stage(stageOf(this.input.plan, source.stage));
    if (source.from === 'image') return this.image(source.image);
    if (source.from === 'remote') return this.once(remoteSource(source.remote));
    return this.once(this.contextSource(source.context));
  }

  private image(image: BaseImage): string {
    return this.once(imageSource(image));
  }

  /** A context that was named by address is what was fetched. */
  private contextSource(digest: string | undefined): Operation {
    const { context, contexts = {} } = this.input.request;
    const [name, named] =
      Object.entries(contexts).find(([, each]) => 'context' in each && each.context === digest) ?? [];
    if (digest !== undefined && named !== undefined) return localSource(name ?? '');
    const [remote] = typeof context === 'string' ? [] : remoteContexts({ context });
    return remote === undefined ? localSource('context') : remoteSource(remote);
  }

  /** The same source is one operation, however many take from it. */
  private once(operation: Operation): string {
    const key = JSON.stringify(operation);
    const output = this.sources.get(key) ?? this.add(operation, []);
    this.sources.set(key, output);
    return output;
  }

  private add(op: Operation, inputs: readonly string[]): string {
    const id = `step${this.operations.length}`;
    this.operations.push({ id, op, ...(inputs.length === 0 ? {} : { inputs }) });
    return `${id}:0`;
  }

  /** The layers under the target's steps: each made one. */
  private layers(): Record<string, readonly (readonly Descriptor[])[]> {
    const { plan, layers, baseLayers } = this.input;
    const { base, steps } = chainOf(plan, plan.target);
    const found: Record<string, readonly (readonly Descriptor[])[]> = {};
    const upTo = (output: string | undefined, count: number): void => {
      if (output !== undefined) found[output] = [layers.slice(0, count).map(({ descriptor }) => descriptor)];
    };
    if (base !== undefined) upTo(this.sources.get(JSON.stringify(imageSource(base))), baseLayers);
    for (const [i, step] of steps.entries()) upTo(this.outputs.get(step.number), baseLayers + i + 1);
    return found;
  }
}

/** The image at the bottom, and all steps of the stages a stage stands on, its own last. */
function chainOf(
  plan: Plan,
  { base, steps }: StagePlan,
): { readonly base?: BaseImage; readonly steps: readonly Step[] } {
  if (base.kind === 'image') return { base: base.image, steps };
  if (base.kind === 'scratch') return { steps };
  const below = chainOf(plan, stageOf(plan, base.stage));
  return { ...below, steps: [...below.steps, ...steps] };
}

/** What an operation takes: each output once, by its place in the list. */
class InputList {
  readonly outputs: string[] = [];

  /** @returns -1 for nothing */
  add(output: Output): number {
    if (output === undefined) return -1;
    const known = this.outputs.indexOf(output);
    return known >= 0 ? known : this.outputs.push(output) - 1;
  }
}
