/** `docker run -d` on an engine of its own, with docker's default bridge in that engine's network namespace. */
import { join } from 'node:path';
import { DOCKER_NEEDS, startDockerd } from '../peers/dockerd.js';
import { hasProgram, timed } from '../process.js';
import type { Session } from '../session.js';

const IMAGE = 'busybox:bench';

export interface DockerRun {
  /** Resolves with the container's id once docker says that it runs. */
  run(command: readonly string[], stopSignal: string): Promise<string>;
  /** Stopped and removed. */
  stopContainer(id: string): Promise<void>;
  stop(): Promise<void>;
}

/** Undefined without docker. */
export async function startDockerRun(session: Session): Promise<DockerRun | undefined> {
  for (const program of Object.keys(DOCKER_NEEDS)) if (!(await hasProgram(program))) return undefined;
  const { docker, stop } = await startDockerd(session, []);
  const folder = await session.directory('busybox');
  await timed(['sh', '-c', `mkdir ${folder}/bin && cp "$(command -v busybox)" ${folder}/bin/busybox`]);
  await timed(['sh', '-c', `cd ${folder}/bin && ln -s busybox sh && ln -s busybox sleep`]);
  const tar = join(folder, 'root.tar');
  await timed(['tar', '-C', folder, '-cf', tar, 'bin']);
  await docker('import', tar, IMAGE);
  return {
    async run(command, stopSignal) {
      return (
        await docker('run', '-d', '--memory', '16m', '--stop-signal', stopSignal, IMAGE, ...command)
      ).stdout.trim();
    },
    async stopContainer(id) {
      await docker('stop', '-t', '2', id);
      await docker('rm', id);
    },
    stop,
  };
}
