/** Commands of the AWS CLI that scripts and documents have, as it gets them, and whether it would take them. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface RecordedCall {
  readonly argv: readonly string[];
}

/** Puts an `aws` into the folder that writes its arguments down. @returns what was written since then */
export function awsCommands(folder: string, body: string): () => RecordedCall[] {
  const log = join(folder, 'aws.log');
  rmSync(log, { force: true });
  const record = `{ for word in "$@"; do printf '%s\\0' "$word"; done; printf '\\n\\0'; } >> ${log}`;
  writeFileSync(join(folder, 'aws'), `#!/bin/sh\n${record}\n${body}\n`, { mode: 0o755 });
  return () =>
    (existsSync(log) ? readFileSync(log, 'utf8') : '')
      .split('\n\0')
      .filter((call) => call !== '')
      .map((call) => ({ argv: call.split('\0').slice(0, -1) }));
}

const DOCUMENTS = ['README.md', 'TESTING.md', ...readdirSync('docs/aws').map((name) => `docs/aws/${name}`)];
/** Of a newer CLI only, or a thing of the CLI itself. */
const OTHERS = /^(logs tail|configure )/;

/** Each command in backquotes or in a block, run by a shell with an `aws` that writes it down. */
export function documentedCommands(folder: string): RecordedCall[] {
  const calls = awsCommands(folder, ':');
  for (const document of DOCUMENTS.filter((name) => name.endsWith('.md'))) {
    const text = readFileSync(document, 'utf8').replaceAll('\\\n', ' ');
    for (const [, command = ''] of text.matchAll(/(?:`|\$\(|^)aws ([a-z-][^`\n]*?)\)?(?:`|$)/gm)) {
      // Without operands it is named, and not told how to be used.
      if (OTHERS.test(command) || !command.includes(' --')) continue;
      const line = command.replaceAll(/<[^>]*>|…/g, '12').replace(/\s+#.*$/, '');
      spawnSync('sh', ['-c', `aws ${line}`], { env: { PATH: `${folder}:/usr/bin:/bin` } });
    }
  }
  return calls();
}

/**
 * All in one process of its own Python, with an endpoint that answers everything with nothing: to start the CLI for each
 * would take longer than all of them.
 */
const CHECK = `
import contextlib, io, json, sys
from awscli.clidriver import create_clidriver
import botocore.endpoint
class Answer: status_code, headers = 200, {}
botocore.endpoint.Endpoint.make_request = lambda self, model, request: (Answer, {'ResponseMetadata': {}})
driver = create_clidriver()
refused = []
for argv in json.load(sys.stdin):
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        try: code = driver.main(argv)
        except SystemExit as end: code = end.code
    if code not in (0, None): refused.append(' '.join(argv) + ': ' + said.getvalue().strip().split('\\n')[-1])
print(json.dumps(refused))
`;

const AS_ANYBODY = {
  AWS_ACCESS_KEY_ID: 'any',
  AWS_SECRET_ACCESS_KEY: 'any',
  AWS_DEFAULT_REGION: 'eu-central-1',
  HOME: '/nonexistent',
};

/** Those that the AWS CLI would not take: an operation, an option or a form of a value that it does not know. */
export function refusedByAws(calls: readonly RecordedCall[]): readonly string[] {
  const env = { PATH: process.env['PATH'] ?? '', ...AS_ANYBODY };
  const python = ['python3', '/usr/bin/python3'].find(
    (name) => spawnSync(name, ['-c', 'import awscli'], { env }).status === 0,
  );
  if (python === undefined) throw new Error('no Python has the AWS CLI: run scripts/setup.sh --tests');
  const argvs = calls.map(({ argv }) => argv).filter((argv) => !OTHERS.test(argv.join(' ')));
  const input = JSON.stringify(argvs);
  const { stdout, stderr } = spawnSync(python, ['-c', CHECK], { encoding: 'utf8', env, input });
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as readonly string[];
}
