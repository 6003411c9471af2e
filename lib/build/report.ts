/** What a request that builds nothing answers with: lint findings, the expected plan, an outline, the targets. */

export interface LintFinding {
  readonly rule: string;
  readonly message: string;
  /** One-based; absent when the finding has no place. */
  readonly line?: number;
  readonly url?: string;
}

export interface CheckReport {
  readonly kind: 'check';
  readonly warnings: readonly LintFinding[];
}

/**
 * `hit`: in the cache. `miss`: will be made. `maybe`: its inputs are made anew, and it is in the cache if they come out
 * as before. `not-needed`: nobody needs it, because what needed it is in the cache.
 */
export type Expectation = 'hit' | 'miss' | 'maybe' | 'not-needed';

export interface ExpectedStep {
  readonly step: number;
  readonly name: string;
  readonly instruction: string;
  readonly line: number;
  readonly expected: Expectation;
  /** Why it is not in the cache, in one line. */
  readonly reason?: string;
  /** Compressed bytes of the layer that is in the cache. */
  readonly layerBytes?: number;
  /** The cache of the request that has it; absent when our own does. */
  readonly importedFrom?: string;
  /** Bytes of the build context that go into it. */
  readonly contextBytes?: number;
}

export interface PlanReport {
  readonly kind: 'plan';
  readonly steps: readonly ExpectedStep[];
  readonly hits: number;
  readonly misses: number;
  readonly bytes: {
    /** Of the build context, that steps to be made will copy. */
    readonly context: number;
    /** Of layers of base images and imported steps that must be fetched from other registries. */
    readonly fetch: number;
    /** Of layers that are in the cache. */
    readonly cached: number;
  };
}

export interface OutlineArg {
  readonly name: string;
  readonly description?: string;
  /** What the request gives, else the default, with variables in as far as they are known without an image. */
  readonly value?: string;
  readonly line: number;
}

export interface OutlineReport {
  readonly kind: 'outline';
  /** Name of the target stage, or its number. */
  readonly target: string;
  readonly description?: string;
  readonly args: readonly OutlineArg[];
  readonly secrets: readonly { readonly id: string; readonly required: boolean; readonly line: number }[];
  readonly ssh: readonly { readonly id: string; readonly required: boolean; readonly line: number }[];
  readonly caches: readonly { readonly id: string; readonly target: string; readonly line: number }[];
  readonly mounts: readonly {
    readonly type: 'bind' | 'tmpfs';
    readonly from?: string;
    readonly target: string;
    readonly line: number;
  }[];
}

export interface TargetsReport {
  readonly kind: 'targets';
  readonly targets: readonly {
    /** Name of the stage, or its number. */
    readonly name: string;
    readonly description?: string;
    readonly base: string;
    readonly platform?: string;
    /** Built when no target is asked for. */
    readonly isDefault: boolean;
    readonly line: number;
  }[];
}

export type BuildReport = CheckReport | PlanReport | OutlineReport | TargetsReport;
