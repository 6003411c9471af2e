/** A Dockerfile at synthesis: what would fail when it is built, said before anything is deployed. */
import { readFileSync } from 'node:fs';
import { parseDockerfile, stagesNeeded } from '../dockerfile/index.js';

export interface DockerfileWarning {
  readonly id: string;
  readonly text: string;
}

/**
 * @returns what will fail unless the builder finds it in its cache
 * @throws DockerfileError for a file that does not parse, or has no such stage; the message has the line
 */
export function checkDockerfile(path: string, target: string | undefined): readonly DockerfileWarning[] {
  const dockerfile = parseDockerfile(readFileSync(path, 'utf8'), { fileName: path });
  const run = stagesNeeded(dockerfile, target)
    .flatMap(({ instructions }) => instructions)
    .find(({ kind }) => kind === 'run');
  if (run === undefined) return [];
  const place = `${path}:${run.range.start.line}`;
  return [
    {
      id: 'wharf:run-needs-a-worker',
      text: `${place}: RUN is done by a builder with capacity; without one only what its cache holds can be used`,
    },
  ];
}
