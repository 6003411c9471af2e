/** Where Wharf and BuildKit itself differ, and why. */
import type { Explanation } from './explained.js';

export const BUILDKIT_EXPLAINED: readonly Explanation[] = [
  {
    id: 'stage-time',
    reason:
      'What a build makes itself is dated by what it stands on (`created` of the base, newest file of a layer), so ' +
      'that the same input gives the same digest on any day; BuildKit dates it by its clock.',
    cases: 'any',
    subject: /^\//,
    field: 'mtime',
    docker: /^when it was built$/,
    wharf: /^(1704164645|1700000000|0)$/,
  },
  {
    id: 'names-without-control-characters',
    reason: 'BuildKit takes any name in a context; here none has a control character (docs/decisions/0009).',
    cases: ['hand-context-odd-name'],
    subject: /^the build$/,
    field: 'outcome',
    docker: /^built$/,
  },
  {
    id: 'trace-variables',
    reason: 'buildctl traces every build, and so a RUN has TRACEPARENT and OTEL_…; without a tracer it has none.',
    cases: ['run-sees-environment'],
    subject: /^\/env$/,
    field: 'content',
  },
];
