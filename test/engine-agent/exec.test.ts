/** Commands inside running containers that somebody talks to, with and without a terminal. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { type ExecOptions, type ExecSession, scopePaths } from '../../lib/runtime/index.js';
import { isContainer, payloadOf, script } from './agent-host.js';
import { AgentSuite, describeRuntimes } from './agent-suite.js';

describeRuntimes('exec', (ociRuntime) => {
  let taskId: string;
  const suite = new AgentSuite(
    () => ({ ociRuntime }),
    async (host) => {
      const payload = payloadOf({
        app: script('sleep 1000', {
          environment: ['OWN=set'],
          user: 'app',
          workingDirectory: '/tmp',
          stopTimeoutSeconds: 0,
        }),
      });
      ({ taskId } = payload);
      host.agent.run(payload);
      await host.event(isContainer(taskId, 'app', 'RUNNING'));
    },
  );

  async function open(args: readonly string[], terminal?: ExecOptions['terminal']): Promise<ExecSession> {
    const session = await suite.host.agent.exec?.(taskId, 'app', {
      args,
      ...(terminal === undefined ? {} : { terminal }),
    });
    if (session === undefined) throw new Error('the container does not run');
    return session;
  }
  const sh = (text: string, terminal?: ExecOptions['terminal']): Promise<ExecSession> =>
    open(['/bin/sh', '-c', text], terminal);
  async function textOf(stream: AsyncIterable<unknown>): Promise<string> {
    let text = '';
    for await (const chunk of stream) text += String(chunk);
    return text;
  }

  test('runs as the container does, keeps the streams apart and tells the exit code', async () => {
    const session = await sh('echo $OWN; pwd; id -un; echo wrong >&2; cat; exit 7');
    session.stdin.end('from outside\n');
    const [stdout, stderr, end] = await Promise.all([textOf(session.stdout), textOf(session.stderr), session.ended]);
    expect(stdout).toBe('set\n/tmp\napp\nfrom outside\n');
    expect(stderr).toBe('wrong\n');
    expect(end).toEqual({ exitCode: 7 });
  });

  test('has a terminal of the size that was asked for, and of each new one', async () => {
    // The runtime sets the first size when the command may run already: it is waited for.
    const until = (size: string): string =>
      `until test "$(stty size 2>/dev/null)" = "${size}"; do sleep 0.05; done; echo ${size}`;
    const session = await sh(`${until('31 97')}; ${until('11 44')}; exit 3`, { rows: 31, columns: 97 });
    let text = '';
    for await (const chunk of session.stdout) {
      text += String(chunk);
      if (text.endsWith('31 97\r\n')) await session.resize({ rows: 11, columns: 44 });
    }
    expect(text).toBe('31 97\r\n11 44\r\n');
    await expect(session.ended).resolves.toEqual({ exitCode: 3 });
  });

  test('a shell in a terminal answers what is typed', async () => {
    const session = await open(['/bin/sh'], { rows: 24, columns: 80 });
    let text = '';
    for await (const chunk of session.stdout) {
      const isPrompt = text === '';
      text += String(chunk);
      if (isPrompt) session.stdin.write('echo $((6*7)); tty; exit 5\n');
    }
    expect(text).toContain('\r\n42\r\n/dev/pts/');
    await expect(session.ended).resolves.toEqual({ exitCode: 5 });
  });

  test('says why a command cannot be started', async () => {
    const session = await open(['/bin/nope']);
    session.stdout.resume();
    session.stderr.resume();
    await expect(session.ended).resolves.toMatchObject({
      exitCode: 127,
      failure: expect.stringContaining('/bin/nope'),
    });
  });

  test.each([undefined, { rows: 24, columns: 80 }])('hanging up ends the command (terminal %j)', async (terminal) => {
    const session = await sh('trap "" HUP; echo up; while true; do sleep 0.05; done', terminal);
    for await (const chunk of session.stdout) {
      if (String(chunk).includes('up')) await session.kill();
    }
    session.stderr.resume();
    expect((await session.ended).exitCode).not.toBe(0);
    const left = await sh('ps | grep -v grep | grep -c "while true"');
    left.stderr.resume();
    expect(await textOf(left.stdout)).toBe('0\n');
    await left.ended;
    const bundle = scopePaths.supervisedBundles(suite.host.scope);
    const [name = ''] = (await readdir(bundle)).filter((each) => each.startsWith(taskId));
    expect((await readdir(join(bundle, name))).filter((each) => each.startsWith('session-'))).toEqual([]);
  });

  test('what does not run takes no command', async () => {
    await expect(suite.host.agent.exec?.('f'.repeat(32), 'app', { args: ['true'] })).resolves.toBeUndefined();
    await expect(suite.host.agent.exec?.(taskId, 'other', { args: ['true'] })).resolves.toBeUndefined();
  });
});
