/** The command line: commander reads it, each command gets plain input. Usage errors leave with 2. */
import { Command, CommanderError, Help, InvalidArgumentError } from 'commander';
import { dockerfileCommand } from '../commands/dockerfile.js';
import type { CliDeps } from '../deps.js';
import { EXIT_CODES_HELP, ExitCode, exitCodeOf, PassedOnExit, sayError } from '../exit-code.js';
import { addBuild } from './build.js';
import { addBuilds } from './builds.js';
import { addClusters } from './clusters.js';
import { addDeploy } from './deploy.js';
import { addImages } from './images.js';
import { addRegistry } from './registry.js';
import { addRun } from './run.js';
import { addLooking, addStopping } from './tasks.js';
import { addSecrets } from './secrets.js';
import { addTokens } from './tokens.js';
import { addDoctor, addDown, addEngine, addUp } from './up.js';

/** Runs one command line. @param args without `node` and the program @returns the exit code */
export async function runCli(args: readonly string[], deps: CliDeps): Promise<number> {
  try {
    await program(deps).parseAsync([...args], { from: 'user' });
    return ExitCode.ok;
  } catch (error) {
    // Commander tells what it meets while it reads options; this came from values that are read together.
    if (error instanceof InvalidArgumentError)
      deps.output.say(`error: ${error.message}\n(wharf ${args[0]} --help shows how)\n`);
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
    .configureHelp({
      // An empty list is no default worth a word.
      optionDescription: (option) => new Help().optionDescription(option).replace(' (default: [])', ''),
    })
    .addHelpText('after', `\n${EXIT_CODES_HELP}\nEnvironment: WHARF_URL, WHARF_TOKEN, WHARF_CLUSTER, NO_COLOR.`);
  addUp(wharf, deps);
  addEngine(wharf, deps);
  addDown(wharf, deps);
  addBuild(wharf, deps);
  addBuilds(wharf, deps);
  addDeploy(wharf, deps);
  addRun(wharf, deps);
  addLooking(wharf, deps);
  addImages(wharf, deps);
  addStopping(wharf, deps);
  addClusters(wharf, deps);
  addRegistry(wharf, deps);
  addSecrets(wharf, deps);
  addTokens(wharf, deps);
  addDoctor(wharf, deps);
  wharf.addCommand(inherited(dockerfileCommand(deps), wharf));
  showOwnHelp(wharf, 'wharf');
  return wharf;
}

/** A command that was made elsewhere ends and speaks as the program does. */
function inherited(command: Command, parent: Command): Command {
  for (const each of [command, ...command.commands]) each.copyInheritedSettings(parent);
  return command;
}

/** After an error, each command points to its own help. */
function showOwnHelp(command: Command, name: string): void {
  command.showHelpAfterError(`(${name} --help shows how)`);
  for (const each of command.commands) showOwnHelp(each, `${name} ${each.name()}`);
}
