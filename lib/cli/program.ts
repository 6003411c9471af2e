/** The command line: commander reads it, each command gets plain input. Usage errors leave with 2. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { WharfClient } from '../client/index.js';
import type { PortSpec } from '../platform/index.js';
import { defined } from '../platform/values/index.js';
import type { ProgressMode } from './build-progress.js';
import { createCluster, listClusters, removeCluster } from './commands/cluster.js';
import { deploy, parsePort } from './commands/deploy.js';
import { exec } from './commands/exec.js';
import { dockerfileCommand } from './commands/dockerfile.js';
import { explain } from './commands/explain.js';
import { images } from './commands/images.js';
import { logs } from './commands/logs.js';
import { ps } from './commands/ps.js';
import { rollback } from './commands/rollback.js';
import { registryStats, verifyRegistry } from './commands/registry.js';
import { remove, stop } from './commands/stop.js';
import { up } from './commands/up.js';
import { type ConnectionInput, findConnection } from './connection.js';
import type { CliDeps, CommandDeps } from './deps.js';
import { EXIT_CODES_HELP, ExitCode, exitCodeOf, PassedOnExit, sayError } from './exit-code.js';

interface Shared extends ConnectionInput {
  readonly json?: boolean;
}

interface Waiting extends Shared {
  readonly wait: boolean;
  readonly timeout: number;
  readonly cluster?: string;
}

/** Runs one command line. @param args without `node` and the program @returns the exit code */
export async function runCli(args: readonly string[], deps: CliDeps): Promise<number> {
  try {
    await program(deps).parseAsync([...args], { from: 'user' });
    return ExitCode.ok;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
    if (error instanceof PassedOnExit) return error.exitCode;
    if (deps.interrupted.aborted) return ExitCode.failure;
    sayError(deps.output, error);
    return exitCodeOf(error);
  }
}

export function program(deps: CliDeps): Command {
  const wharf = new Command('wharf')
    .description('A Dockerfile becomes a running container.')
    .version(deps.version)
    .exitOverride()
    .configureOutput({ writeOut: (text) => deps.output.result(text), writeErr: (text) => deps.output.say(text) })
    .showHelpAfterError('(wharf --help shows how)')
    .addHelpText('after', `\n${EXIT_CODES_HELP}\nEnvironment: WHARF_URL, WHARF_TOKEN, WHARF_CLUSTER, NO_COLOR.`);
  addUp(wharf, deps);
  addBuild(wharf, deps);
  addDeploy(wharf, deps);
  addLooking(wharf, deps);
  addStopping(wharf, deps);
  addClusters(wharf, deps);
  addRegistry(wharf, deps);
  wharf.addCommand(inherited(dockerfileCommand(deps), wharf));
  return wharf;
}

/** A command that was made elsewhere ends and speaks as the program does. */
function inherited(command: Command, parent: Command): Command {
  for (const each of [command, ...command.commands]) each.copyInheritedSettings(parent);
  return command;
}

/** Options every command that talks to a platform has. */
function talking(command: Command): Command {
  return command
    .option('--url <url>', 'where the platform is')
    .option('--token <token>', 'API token')
    .option('--data <dir>', 'data folder of a local platform (default: .wharf)')
    .option('--json', 'one JSON document on stdout');
}

function waiting(command: Command, seconds: number): Command {
  return talking(command)
    .option('--cluster <name>', 'the cluster (default: the only one)')
    .option('--no-wait', 'return as soon as it is under way')
    .option('--timeout <seconds>', 'how long to wait', whole, seconds);
}

async function connected(deps: CliDeps, options: ConnectionInput): Promise<CommandDeps> {
  return { ...deps, client: new WharfClient(await findConnection(deps.cwd, deps.env, options)) };
}

function addUp(wharf: Command, deps: CliDeps): void {
  wharf
    .command('up')
    .description('run the platform on this machine, until Ctrl-C')
    .option('--data <dir>', 'where it keeps everything (default: .wharf)')
    .option('--listen <host:port>', 'where it listens (default: 127.0.0.1:7070)')
    .option('--token <token>', 'a token to accept; one is made at first start otherwise')
    .option('--json', 'one JSON line with url, registry, ecs and token when it is ready')
    .action((options: Shared & { listen?: string }) => up(options, deps));
}

interface BuildOptions extends Shared {
  readonly tag: readonly string[];
  readonly file?: string;
  readonly target?: string;
  readonly buildArg: readonly string[];
  readonly label: readonly string[];
  readonly platform: readonly string[];
  readonly cache: boolean;
  readonly cacheFilter: readonly string[];
  readonly compression?: string;
  readonly annotation: readonly string[];
  readonly check?: boolean;
  readonly plan?: boolean;
  readonly outline?: boolean;
  readonly targets?: boolean;
  readonly progress: ProgressMode;
}

function addBuild(wharf: Command, deps: CliDeps): void {
  talking(wharf.command('build'))
    .description('build an image from a folder with a Dockerfile')
    .argument('[context]', 'the folder', '.')
    .option('-t, --tag <name>', 'name of the image, repository[:tag]; repeatable', collect, [])
    .option('-f, --file <path>', 'the Dockerfile')
    .option('--target <stage>', 'stage to build')
    .option('--build-arg <name=value>', 'value of an ARG; repeatable', collect, [])
    .option('--label <name=value>', 'label of the image; repeatable', collect, [])
    .option(
      '--platform <os/arch>',
      'platform to build for; several, by commas or repeated, become an index',
      collect,
      [],
    )
    .option('--no-cache', 'run every step')
    .option('--no-cache-filter <stage>', 'run every step of this stage; repeatable', collect, [])
    .option('--compression <type[:level]>', 'of new layers: gzip, zstd or none')
    .option(
      '--annotation <[where:]name=value>',
      'of the manifest, or index:, manifest-descriptor:; repeatable',
      collect,
      [],
    )
    .option('--check', 'build nothing: say what the lint rules find')
    .option('--plan', 'build nothing: say which steps are cached, which are not, and why')
    .option('--outline', 'build nothing: say what the target takes')
    .option('--targets', 'build nothing: say which targets there are')
    .addOption(
      new Option('--progress <mode>', 'how to show it').choices(['auto', 'plain', 'tty', 'quiet']).default('auto'),
    )
    .action(async (context: string, options: BuildOptions) => {
      const { tag, file, target, cache, progress, json, compression } = options;
      const args = pairs(options.buildArg, deps.env);
      const labels = pairs(options.label, {});
      const noCache = cache ? undefined : true;
      const platforms = filled(options.platform.flatMap((each) => each.split(',')));
      const noCacheFilter = filled(options.cacheFilter.flatMap((each) => each.split(',')));
      const annotations = filled(options.annotation);
      const instead = (['check', 'plan', 'outline', 'targets'] as const).find((each) => options[each] === true);
      const wanted = { context, tags: tag, args, labels, progress, file, target, platforms, json, noCache };
      const input = defined({ ...wanted, noCacheFilter, compression, annotations, instead });
      // Loaded only here: tar and Dockerfile code would slow every other command down.
      const { build } = await import('./commands/build.js');
      await build(input, await connected(deps, options));
    });
}

interface DeployOptions extends Waiting {
  readonly image?: string;
  readonly count?: number;
  readonly port?: readonly string[];
  readonly env: readonly string[];
  readonly cpu?: number;
  readonly memory?: number;
  readonly healthPath?: string;
  readonly stopTimeout?: number;
}

function addDeploy(wharf: Command, deps: CliDeps): void {
  waiting(wharf.command('deploy'), 900)
    .description('deploy a release of a service; what is not said stays as it is')
    .argument('<service>', 'its name')
    .argument('[command...]', 'the command of its containers, after --')
    .option('--image <name>', 'repository[:tag][@digest]')
    .option('--count <n>', 'how many tasks', whole)
    .option('--port <[host:]port[/udp]>', 'a port of the container; repeatable', collectOptional)
    .option('-e, --env <name=value>', 'environment variable; repeatable', collect, [])
    .option('--cpu <units>', 'CPU units; 1024 are one core', whole)
    .option('--memory <MiB>', 'memory limit', whole)
    .option('--health-path <path>', 'HTTP path that must answer 200 to 399')
    .option('--stop-timeout <seconds>', 'between SIGTERM and SIGKILL', whole)
    .action(async (service: string, command: string[], options: DeployOptions) => {
      const { cluster, image, count, cpu, memory, healthPath, wait, timeout, json } = options;
      const ports: readonly PortSpec[] | undefined = options.port?.map(parsePort);
      const input = defined({
        service,
        cluster,
        image,
        count,
        ports,
        cpu,
        memory,
        healthPath,
        wait,
        json,
        command: command.length === 0 ? undefined : command,
        env: pairs(options.env, deps.env),
        stopTimeoutSeconds: options.stopTimeout,
        timeoutSeconds: timeout,
      });
      await deploy(input, await connected(deps, options));
    });
  waiting(wharf.command('rollback'), 900)
    .description('deploy an earlier release again, as a new one')
    .argument('<service>', 'its name')
    .option('--to <release>', 'which one (default: the last complete one before the newest)', whole)
    .action(async (service: string, options: Waiting & { to?: number }) => {
      const { cluster, to, wait, timeout, json } = options;
      const input = defined({ service, cluster, to, wait, timeoutSeconds: timeout, json });
      await rollback(input, await connected(deps, options));
    });
}

interface ExecOptions extends Shared {
  readonly cluster?: string;
  readonly container?: string;
  readonly interactive?: boolean;
  readonly tty?: boolean;
}

interface ExportOptions {
  readonly output: string;
  readonly format: 'oci' | 'docker' | 'rootfs';
  readonly platform?: string;
}

function addLooking(wharf: Command, deps: CliDeps): void {
  talking(wharf.command('ps'))
    .description('services and tasks')
    .argument('[service]', 'only this one')
    .option('--cluster <name>', 'only this cluster')
    .option('-a, --all', 'stopped tasks too')
    .action(async (service: string | undefined, options: Shared & { cluster?: string; all?: boolean }) => {
      const { cluster, all, json } = options;
      await ps(defined({ service, cluster, all, json }), await connected(deps, options));
    });
  talking(wharf.command('explain'))
    .description('why tasks of a service have no place, instance by instance')
    .argument('<service>', 'its name')
    .option('--cluster <name>', 'the cluster (default: the only one)')
    .action(async (service: string, options: Shared & { cluster?: string }) => {
      const { cluster, json } = options;
      await explain(defined({ service, cluster, json }), await connected(deps, options));
    });
  talking(wharf.command('logs'))
    .description('what a task wrote, or all tasks of a service')
    .argument('<name>', 'a service, or the beginning of a task id')
    .option('--cluster <name>', 'the cluster (default: the only one)')
    .option('-f, --follow', 'go on as it writes')
    .option('--since <duration>', 'only the last 30s, 10m or 2h', duration)
    .action(async (name: string, options: Shared & { cluster?: string; follow?: boolean; since?: number }) => {
      const { cluster, follow, since, json } = options;
      const sinceMs = since === undefined ? undefined : deps.clock.nowMs() - since;
      await logs(defined({ name, cluster, follow, sinceMs, json }), await connected(deps, options));
    });
  talking(wharf.command('exec'))
    .description("run a command in a running container; its exit code is this command's")
    .argument('<name>', 'a service, or the beginning of a task id')
    .argument('<command...>', 'the command, after --')
    .option('--cluster <name>', 'the cluster (default: the only one)')
    .option('--container <name>', 'the container (default: the first essential one)')
    .option('-i, --interactive', 'hand standard input on')
    .option('-t, --tty', 'give it a terminal')
    .action(async (name: string, command: string[], options: ExecOptions) => {
      const { cluster, container, interactive, tty } = options;
      const input = defined({ name, command, cluster, container, interactive, tty });
      await exec(input, await connected(deps, options));
    });
  const shown = talking(wharf.command('images'));
  talking(shown.command('export'))
    .description('an image as a tar')
    .argument('<reference>', 'repository[:tag]')
    .requiredOption('-o, --output <file>', 'where to; - is standard output')
    .addOption(new Option('--format <format>', 'which tar').choices(['oci', 'docker', 'rootfs']).default('oci'))
    .option('--platform <os/arch>', 'which image of several')
    .action(async (reference: string, _: unknown, command: Command) => {
      // What stands before the name belongs to the command above.
      const options: Shared & ExportOptions = command.optsWithGlobals();
      const { output: file, format, platform, json } = options;
      const { exportImage } = await import('./commands/export-image.js');
      const input = defined({ reference, file, format, platform, json });
      await exportImage(input, await connected(deps, options));
    });
  shown
    .description('images of the registry, or what is inside one')
    .argument('[reference]', 'repository[:tag]')
    .action(async (reference: string | undefined, options: Shared) => {
      await images(defined({ reference, json: options.json }), await connected(deps, options));
    });
}

function addStopping(wharf: Command, deps: CliDeps): void {
  const input = (name: string, { cluster, wait, timeout, json }: Waiting) =>
    defined({ name, cluster, wait, timeoutSeconds: timeout, json });
  waiting(wharf.command('stop'), 120)
    .description('stop a task, or all tasks of a service, which stays')
    .argument('<name>', 'a service, or the beginning of a task id')
    .action(async (name: string, options: Waiting) => stop(input(name, options), await connected(deps, options)));
  waiting(wharf.command('rm'), 120)
    .description('stop all tasks of a service and delete it')
    .argument('<service>', 'its name')
    .action(async (name: string, options: Waiting) => remove(input(name, options), await connected(deps, options)));
}

function addClusters(wharf: Command, deps: CliDeps): void {
  const cluster = wharf.command('cluster').description('clusters and their instances');
  talking(cluster.command('create'))
    .description('make a cluster, or change its number of instances')
    .argument('<name>', 'lower-case letters, digits and hyphens')
    .option('--instances <n>', 'container instances', whole, 1)
    .action(async (name: string, options: Shared & { instances: number }) => {
      const { instances, json } = options;
      await createCluster(defined({ name, instances, json }), await connected(deps, options));
    });
  talking(cluster.command('ls'))
    .description('all clusters')
    .action(async (options: Shared) => listClusters(defined({ json: options.json }), await connected(deps, options)));
  talking(cluster.command('rm'))
    .description('delete a cluster')
    .argument('<name>', 'its name')
    .option('--force', 'with all its services and tasks')
    .option('--timeout <seconds>', 'how long to wait', whole, 120)
    .action(async (name: string, options: Shared & { force?: boolean; timeout: number }) => {
      const { force, timeout, json } = options;
      const input = defined({ name, force, timeoutSeconds: timeout, json });
      await removeCluster(input, await connected(deps, options));
    });
}

function addRegistry(wharf: Command, deps: CliDeps): void {
  const registry = wharf.command('registry').description('what the registry stores');
  talking(registry.command('stats'))
    .description('how much it holds, and what it saves by keeping every blob once')
    .action(async (options: Shared) => registryStats(defined({ json: options.json }), await connected(deps, options)));
  talking(registry.command('verify'))
    .description('read everything back and hash it again; fails when something is damaged')
    .action(async (options: Shared) => verifyRegistry(defined({ json: options.json }), await connected(deps, options)));
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

function filled(values: readonly string[]): readonly string[] | undefined {
  return values.length === 0 ? undefined : values;
}

function collectOptional(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

function whole(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('a whole number is wanted');
}

function duration(text: string): number {
  const [, digits, unit = ''] = /^(\d+)(s|m|h)$/.exec(text) ?? [];
  if (digits === undefined) throw new InvalidArgumentError('30s, 10m or 2h is wanted');
  return Number(digits) * ({ s: 1000, m: 60_000, h: 3_600_000 }[unit] ?? 0);
}

/** `NAME=value`; a bare `NAME` takes its value from the environment, as docker does. */
function pairs(texts: readonly string[], env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    texts.flatMap((text) => {
      const equals = text.indexOf('=');
      if (equals > 0) return [[text.slice(0, equals), text.slice(equals + 1)]];
      const value = env[text];
      return value === undefined ? [] : [[text, value]];
    }),
  );
}
